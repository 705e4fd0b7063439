/// A key of a plugin's store: 1 to 512 bytes of UTF-8. Keys are equal when their bytes are.
///
/// (A Swift String would call two keys equal that differ in how an accent is composed.)
struct KvKey: Hashable {
    static let sizeMax = 512

    let bytes: [UInt8]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// - Returns: nil and what is wrong with the key.
    static func checked(_ bytes: UnsafeRawBufferPointer) -> Result<KvKey, Refusal> {
        guard bytes.count > 0, bytes.count <= sizeMax else {
            return .failure(Refusal("bad_key: a key has 1 to \(sizeMax) bytes, this one has \(bytes.count)"))
        }
        guard String(validating: bytes, as: UTF8.self) != nil else { return .failure(Refusal("bad_key: a key must be UTF-8")) }
        return .success(KvKey(Array(bytes)))
    }

    var text: String { String(decoding: bytes, as: UTF8.self) }
}

/// Why a host function refuses its arguments: the text that is raised in the script.
struct Refusal: Error {
    let text: String

    init(_ text: String) {
        self.text = text
    }
}

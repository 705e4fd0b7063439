/// A text to be found in another one.
///
/// Knuth-Morris-Pratt: linear whatever both texts are. The simple search would let a filter and an event of a million
/// equal letters hold up the bus.
struct FilterNeedle: Sendable {
    let bytes: [UInt8]
    /// Of each beginning of `bytes`, the length of its longest proper beginning that is also its end.
    private let borders: [Int32]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        var borders = [Int32](repeating: 0, count: bytes.count)
        var length = 0
        for index in bytes.indices.dropFirst() {
            while length > 0, bytes[index] != bytes[length] { length = Int(borders[length - 1]) }
            if bytes[index] == bytes[length] { length += 1 }
            borders[index] = Int32(length)
        }
        self.borders = borders
    }

    /// The offset behind the first place where the needle is; `nil` when it is nowhere.
    func end(in text: UnsafeRawBufferPointer) -> Int? {
        if bytes.isEmpty { return 0 }
        var length = 0
        for index in text.indices {
            while length > 0, text[index] != bytes[length] { length = Int(borders[length - 1]) }
            if text[index] == bytes[length] { length += 1 }
            if length == bytes.count { return index + 1 }
        }
        return nil
    }
}

/// A JSON text that was checked once and is then passed on as it was received.
///
/// Strict RFC 8259 in UTF-8, and no text that two readers could understand differently: duplicate keys, lone surrogates
/// and numbers too large for a Double are refused. White space around the value is cut off, inside it is kept.
/// Equality is that of the text: `1.0` and `1` differ, ``value`` compares meanings.
///
/// A copy is a retain. Reading does not build a tree unless ``value`` is asked for.
public struct JSON: @unchecked Sendable, CustomStringConvertible {
    // Immutable; the storage may be shared with the event that the text lies in.
    private let storage: ByteStorage
    private let offset: UInt32
    private let size: UInt32
    /// Whether it was built in code and nested deeper than ``JSONLimits/depthMax``; checked JSON never is.
    package internal(set) var isTooDeep = false

    /// Checks a text.
    ///
    /// - Throws: ``EventError`` `.badJSON`, `.tooDeep` or `.tooLarge`: what is wrong, at which byte, line, column and path.
    public init(_ text: String) throws(EventError) {
        self = try text.withUTF8Bytes { bytes throws(EventError) in try JSON(validating: bytes) }
    }

    /// Checks bytes and copies them.
    ///
    /// - Throws: ``EventError`` `.badJSON`, `.tooDeep` or `.tooLarge`: what is wrong, at which byte, line, column and path.
    public init(validating bytes: UnsafeRawBufferPointer, limits: JSONLimits = JSONLimits()) throws(EventError) {
        let value = try JSONValidator.check(bytes, limits: limits)
        self.init(trusted: UnsafeRawBufferPointer(rebasing: bytes[value]))
    }

    /// Checks bytes and copies them.
    ///
    /// - Throws: as ``init(validating:limits:)``.
    public init(validating bytes: [UInt8], limits: JSONLimits = JSONLimits()) throws(EventError) {
        self = try bytes.withUnsafeBufferPointer { bytes throws(EventError) in
            try JSON(validating: UnsafeRawBufferPointer(bytes), limits: limits)
        }
    }

    /// Wraps bytes that are known to be one valid JSON value without white space around it.
    package init(trusted bytes: [UInt8]) {
        self = bytes.withUnsafeBytes { JSON(trusted: $0) }
    }

    /// Copies bytes that are known to be one valid JSON value without white space around it.
    package init(trusted bytes: UnsafeRawBufferPointer) {
        storage = ByteStorage.make(size: bytes.count) { $0.copyMemory(from: bytes) }
        offset = 0
        size = UInt32(bytes.count)
    }

    /// Shares the part of a storage that is known to be one valid JSON value.
    init(storage: ByteStorage, offset: Int, size: Int) {
        self.storage = storage
        self.offset = UInt32(offset)
        self.size = UInt32(size)
    }

    /// The text `null`.
    public static let null = JSON(trusted: Array("null".utf8))

    /// The text as a string; a copy.
    public var text: String {
        withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    }

    /// How many bytes the text has.
    public var byteCount: Int { Int(size) }

    /// Whether the value is `null`.
    public var isNull: Bool {
        withUnsafeBytes { $0.first == UInt8(ascii: "n") }
    }

    /// The text.
    public var description: String { text }

    /// The bytes of the text; valid while `body` runs.
    public func withUnsafeBytes<R, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> R
    ) throws(Failure) -> R {
        try storage.withUnsafeBytes { bytes throws(Failure) in
            try body(UnsafeRawBufferPointer(rebasing: bytes[Int(offset)..<Int(offset) + Int(size)]))
        }
    }

    /// The same value without white space between its tokens, so that it fits on one line.
    public var compact: JSON {
        withUnsafeBytes { bytes in
            var isInString = false
            var index = 0
            var compacted = [UInt8]()
            compacted.reserveCapacity(bytes.count)
            while index < bytes.count {
                let byte = bytes[index]
                if isInString, byte == UInt8(ascii: "\\") {
                    compacted.append(byte)
                    index += 1
                } else if byte == UInt8(ascii: "\"") {
                    isInString.toggle()
                }
                if isInString || bytes[index] > 0x20 { compacted.append(bytes[index]) }
                index += 1
            }
            return compacted.count == bytes.count ? self : JSON(trusted: compacted)
        }
    }
}

extension JSON: Hashable {
    /// Whether both are the same text, byte by byte.
    public static func == (left: JSON, right: JSON) -> Bool {
        left.withUnsafeBytes { leftBytes in
            right.withUnsafeBytes { leftBytes.elementsEqual($0) }
        }
    }

    /// Hashes the text.
    public func hash(into hasher: inout Hasher) {
        withUnsafeBytes { hasher.combine(bytes: $0) }
    }
}

extension JSON {
    /// Writes a value as text, without white space.
    ///
    /// Integers are exact, Doubles as short as still reads back the same (`2.0` stays `2.0`), NaN and infinities `null`.
    /// A value nested deeper than ``JSONLimits/depthMax`` can be written, but no event takes it as its data.
    public init(_ value: JSONValue) {
        var writer = JSONWriter()
        writer.append(value, depth: 0)
        self.init(trusted: writer.bytes)
        isTooDeep = writer.isTooDeep
    }

    /// The value as a tree.
    public var value: JSONValue {
        withUnsafeBytes { JSONReader.value(of: $0) }
    }

    /// The value at a path of keys, found without building a tree.
    ///
    /// - Parameter path: keys from the outermost to the innermost; for an array a decimal index from 0. Empty: the whole value.
    /// - Returns: `nil` when there is nothing at that path.
    public func value(at path: [String]) -> JSONValue? {
        withUnsafeBytes(at: path) { JSONReader.value(of: $0) }
    }

    /// The text of the value at a path, as in ``value(at:)``; `nil`, without calling `body`, when there is nothing.
    package func withUnsafeBytes<R>(at path: [String], _ body: (UnsafeRawBufferPointer) -> R) -> R? {
        withUnsafeBytes { bytes in
            var reader = JSONReader(bytes)
            for key in path {
                switch reader.peek() {
                case UInt8(ascii: "{"): guard reader.enter(key: key) else { return nil }
                case UInt8(ascii: "["): guard let index = Int(key), reader.enter(index: index) else { return nil }
                default: return nil
                }
            }
            return body(reader.span())
        }
    }
}

extension JSONReader {
    /// Moves from an object to the value under a key.
    fileprivate mutating func enter(key: String) -> Bool {
        _ = take("{")
        if take("}") { return false }
        repeat {
            let (name, isEscaped) = rawString()
            var isFound = !isEscaped && name.elementsEqual(key.utf8)
            if isEscaped {
                var decoded: [UInt8] = []
                Self.unescape(name, into: &decoded)
                isFound = decoded.elementsEqual(key.utf8)
            }
            _ = take(":")
            if isFound { return true }
            skipValue()
        } while next(before: "}")
        return false
    }

    /// Moves from an array to one of its elements.
    fileprivate mutating func enter(index wanted: Int) -> Bool {
        _ = take("[")
        if take("]") { return false }
        var place = 0
        repeat {
            if place == wanted { return true }
            skipValue()
            place += 1
        } while next(before: "]")
        return false
    }
}

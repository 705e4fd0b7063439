/// A subscription that is alone below its token: 48 bytes of pattern, from that token to the end, and its value.
///
/// One cache line, if a value has four bytes.
struct TrieLeaf<Value: BitwiseCopyable>: BitwiseCopyable {
    /// Longer rests become nodes.
    static var sizeMax: Int { 48 }

    private var text: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0)
    var parent: UInt32
    var home: UInt32
    private var size: UInt8
    /// The bytes of the first token.
    private var tokenSize: UInt8
    /// Whether no token is `*` or `>`, so that equal bytes are all it takes.
    private var isLiteral = true
    var value: Value

    /// - Parameter rest: begins with a literal token; at most ``sizeMax`` bytes.
    init(_ rest: UnsafeRawBufferPointer, parent: UInt32, home: UInt32, value: Value) {
        self.parent = parent
        self.home = home
        self.value = value
        size = UInt8(rest.count)
        tokenSize = UInt8(TypeToken.end(in: rest, from: 0))
        withUnsafeMutableBytes(of: &text) { $0.copyMemory(from: rest) }
        var start = 0
        while start < rest.count {
            let end = TypeToken.end(in: rest, from: start)
            if end == start + 1, rest[start] == UInt8(ascii: "*") || rest[start] == UInt8(ascii: ">") { isLiteral = false }
            start = end + 1
        }
    }

    /// The first token.
    var token: TypeToken {
        withText { TypeToken($0, 0, Int(tokenSize)) }
    }

    /// The rest of the pattern; valid while `body` runs.
    func withText<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        withUnsafeBytes(of: text) { body(UnsafeRawBufferPointer(rebasing: $0[..<Int(size)])) }
    }

    /// The rest without its first token; empty when that is all there is.
    func withRest<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        withText { body(UnsafeRawBufferPointer(rebasing: $0[min(Int(tokenSize) + 1, $0.count)...])) }
    }

    /// Whether the first token is that text.
    func hasToken(_ token: UnsafeRawBufferPointer) -> Bool {
        withText { $0[..<Int(tokenSize)].elementsEqual(token) }
    }

    /// Whether the rest of a type, from the token on, fits the rest of the pattern of a leaf.
    ///
    /// The leaf stays where it is: a copy would read and write all of it before the first comparison.
    @inline(__always)
    static func matches(_ leaf: UnsafePointer<TrieLeaf>, _ type: UnsafeRawBufferPointer, from start: Int) -> Bool {
        // `text` is the first field, so that its bytes are those of the leaf.
        let text = UnsafeRawBufferPointer(start: leaf, count: Int(leaf.pointee.size))
        guard leaf.pointee.isLiteral else { return matches(pattern: text, type, from: start) }
        guard type.count - start == text.count else { return false }
        var index = 0
        while index + 8 <= text.count {
            let word = type.loadUnaligned(fromByteOffset: start + index, as: UInt64.self)
            if word != text.loadUnaligned(fromByteOffset: index, as: UInt64.self) { return false }
            index += 8
        }
        while index < text.count {
            if type[start + index] != text[index] { return false }
            index += 1
        }
        return true
    }

    /// Token by token; both begin with a token and end with one.
    private static func matches(pattern: UnsafeRawBufferPointer, _ type: UnsafeRawBufferPointer, from start: Int) -> Bool {
        var (at, place) = (0, start)
        while at < pattern.count {
            guard place < type.count else { return false }
            let end = TypeToken.end(in: pattern, from: at)
            let typeEnd = TypeToken.end(in: type, from: place)
            if end == at + 1, pattern[at] == UInt8(ascii: ">") { return true }
            if end != at + 1 || pattern[at] != UInt8(ascii: "*") {
                guard end - at == typeEnd - place else { return false }
                for offset in 0..<end - at where pattern[at + offset] != type[place + offset] { return false }
            }
            at = end + 1
            place = typeEnd + 1
        }
        return place == type.count + 1
    }
}

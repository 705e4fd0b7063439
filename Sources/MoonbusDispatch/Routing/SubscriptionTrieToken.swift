/// One token of a type or pattern as two words, so that comparing tokens is comparing integers.
///
/// Up to 16 bytes are kept whole, padded with zeros (a token never holds a zero byte). Of a longer one the second word
/// is a hash with all other bytes in it, and its text is compared, too; ``isLong`` tells.
struct TypeToken: BitwiseCopyable, Equatable {
    private var first: UInt64 = 0
    private var second: UInt64 = 0

    init() {}

    /// The token of a `*` child, which is found through its parent and compared with nothing.
    init(star: Void) {
        first = UInt64(UInt8(ascii: "*"))
    }

    /// Reads the bytes from `start` up to `end` of `text`.
    @inline(__always)
    init(_ text: UnsafeRawBufferPointer, _ start: Int, _ end: Int) {
        let size = end - start
        first = Self.word(text, start, min(size, 8))
        if size > 8 { second = Self.word(text, start + 8, min(size - 8, 8)) }
        if size > 16 { second = Self.rest(text, start + 8, end) }
    }

    /// Whether the text has to be compared as well.
    ///
    /// A whole second word never has its highest bit set unless a 16th byte is not ASCII; then a comparison of texts
    /// is wasted at worst, because such a token is treated as a long one everywhere.
    @inline(__always)
    var isLong: Bool { second >> 63 == 1 }

    /// Where the token that starts at `start` ends: at the next dot or at the end.
    @inline(__always)
    static func end(in text: UnsafeRawBufferPointer, from start: Int) -> Int {
        var index = start
        while index + 8 <= text.count {
            let word = UInt64(littleEndian: text.loadUnaligned(fromByteOffset: index, as: UInt64.self)) ^ 0x2E2E_2E2E_2E2E_2E2E
            let dots = (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080
            if dots != 0 { return index + dots.trailingZeroBitCount / 8 }
            index += 8
        }
        while index < text.count, text[index] != UInt8(ascii: ".") { index += 1 }
        return index
    }

    /// A hash of the token together with the node that it starts from, under two secret words.
    @inline(__always)
    func hash(under parent: UInt32, seed: (UInt64, UInt64)) -> UInt64 {
        let product = (first ^ seed.0 ^ UInt64(parent) &* 0x9E37_79B9_7F4A_7C15)
            .multipliedFullWidth(by: second ^ seed.1)
        let mixed = (product.high ^ product.low) &* 0xD6E8_FEB8_6659_FD93
        return mixed ^ mixed >> 32
    }

    /// `size` (1…8) bytes as a little-endian number, without reading outside of the text.
    @inline(__always)
    static func word(_ text: UnsafeRawBufferPointer, _ start: Int, _ size: Int) -> UInt64 {
        let mask = UInt64.max >> UInt64((8 - size) * 8)
        if start + 8 <= text.count {
            return UInt64(littleEndian: text.loadUnaligned(fromByteOffset: start, as: UInt64.self)) & mask
        }
        if text.count >= 8 {
            let word = UInt64(littleEndian: text.loadUnaligned(fromByteOffset: text.count - 8, as: UInt64.self))
            return word >> UInt64((start + 8 - text.count) * 8) & mask
        }
        var word: UInt64 = 0
        for index in (start..<start + size).reversed() { word = word << 8 | UInt64(text[index]) }
        return word
    }

    /// Drawn once a process, so that nobody can choose long tokens that collide.
    private static let restSeed = UInt64.random(in: .min ... .max)

    private static func rest(_ text: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> UInt64 {
        var hash = restSeed
        var index = start
        while index < end {
            let product = (hash ^ word(text, index, min(8, end - index))).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
            hash = product.high ^ product.low
            index += 8
        }
        return hash | 1 << 63
    }
}

/// The texts of tokens that do not fit a ``TypeToken``; rare, so a dictionary will do.
struct TokenPool: ~Copyable {
    private var texts: [UInt32: [UInt8]] = [:]

    var memoryBytes: Int { texts.values.reduce(texts.capacity * 16) { $0 + 32 + $1.capacity } }

    mutating func add(_ node: UInt32, _ text: UnsafeRawBufferPointer) {
        texts[node] = Array(text)
    }

    mutating func remove(_ node: UInt32) {
        texts[node] = nil
    }

    func equal(_ node: UInt32, _ text: UnsafeRawBufferPointer) -> Bool {
        texts[node]?.elementsEqual(text) ?? false
    }
}

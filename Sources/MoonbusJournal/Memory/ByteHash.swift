package import MoonbusEvents

/// A fast keyed hash of bytes.
///
/// Folded 64×64→128-bit multiplications, as in wyhash. The seed is secret, so nobody outside can prepare collisions: drawn anew in each
/// process, or kept in a journal's own file, and then hashes may be stored there as well, but nowhere else.
package struct ByteHash: Sendable {
    /// Two independent words: one to place an entry, one to recognise it. Together they are taken for the bytes themselves.
    package struct Value: Sendable, Hashable {
        package var place: UInt64
        package var mark: UInt64
    }

    private let seed: (UInt64, UInt64)

    /// Draws a seed.
    package init() {
        var random = SystemRandomNumberGenerator()
        seed = (random.next(), random.next())
    }

    /// Takes up the seed that a journal has kept. What it hashes to is part of that journal's format.
    package init(seed: (UInt64, UInt64)) {
        self.seed = seed
    }

    /// Hashes bytes; `salt` keeps apart what happens to have the same bytes.
    @inline(__always)
    package func callAsFunction(_ bytes: UnsafeRawBufferPointer, salt: UInt64 = 0) -> Value {
        var first = seed.0 ^ salt &* 0x9E37_79B9_7F4A_7C15
        var second = seed.1 ^ UInt64(truncatingIfNeeded: bytes.count) &* 0xD6E8_FEB8_6659_FD93
        var offset = 0
        while offset &+ 16 <= bytes.count {
            let low = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            let high = bytes.loadUnaligned(fromByteOffset: offset &+ 8, as: UInt64.self)
            first = Self.fold(first ^ low, second ^ high ^ 0xA076_1D64_78BD_642F)
            second = Self.fold(second ^ low, high ^ 0xE703_7ED1_A0B4_28DB)
            offset &+= 16
        }
        if offset < bytes.count {
            let (low, high) = Self.tail(of: bytes, from: offset)
            first = Self.fold(first ^ low, second ^ high ^ 0x8EBC_6AF0_9C88_C6E3)
            second = Self.fold(second ^ high, low ^ 0x5899_65CC_7537_4CC3)
        }
        return Value(place: Self.fold(first, second ^ 0x1D8E_4E27_C47D_124F), mark: Self.fold(first ^ 0xEB44_ACCA_B455_D165, second))
    }

    /// The hash of what makes an event the same event: its source and id.
    @inline(__always)
    package func identity(of event: Event) -> Value {
        event.withUnsafeRecord { identity(record: $0) }
    }

    /// The same, of the bytes of a record that was checked before.
    @inline(__always)
    package func identity(record: UnsafeRawBufferPointer) -> Value {
        let typeSize = Int(record.loadUnaligned(fromByteOffset: 6, as: UInt16.self))
        let idSize = Int(record.loadUnaligned(fromByteOffset: 16, as: UInt16.self))
        let sourceSize = Int(record.loadUnaligned(fromByteOffset: 18, as: UInt16.self))
        // Id and source lie side by side in the record; the salt says where the one ends.
        let start = 40 + typeSize
        return self(UnsafeRawBufferPointer(rebasing: record[start..<start + idSize + sourceSize]), salt: UInt64(idSize))
    }

    @inline(__always)
    private static func fold(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let product = a.multipliedFullWidth(by: b)
        return product.high ^ product.low
    }

    /// The last 1 to 15 bytes as two words.
    @inline(__always)
    private static func tail(of bytes: UnsafeRawBufferPointer, from start: Int) -> (UInt64, UInt64) {
        let count = bytes.count &- start
        if count >= 8 {
            // Two loads that overlap: every byte is in at least one of them.
            return (
                bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self),
                bytes.loadUnaligned(fromByteOffset: bytes.count &- 8, as: UInt64.self)
            )
        }
        var word: UInt64 = 0
        for index in start..<bytes.count {
            word = word << 8 | UInt64(bytes[index])
        }
        return (word, 0)
    }
}

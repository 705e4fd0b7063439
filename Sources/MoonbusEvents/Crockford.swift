/// Crockford's base 32: digits and capitals without I, L, O and U. Sorts as the number does.
package enum Crockford {
    static let digits: StaticString = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

    /// Writes the lowest `count` digits of a number, most significant first.
    @inline(__always)
    static func write(_ number: UInt64, digits count: Int, to target: UnsafeMutablePointer<UInt8>) {
        var rest = number
        let alphabet = digits.utf8Start
        for place in stride(from: count - 1, through: 0, by: -1) {
            target[place] = alphabet[Int(rest & 31)]
            rest >>= 5
        }
    }

    /// Writes a 128-bit number as 26 digits; the first digit carries 3 bits (0…7).
    static func write(high: UInt64, low: UInt64, to target: UnsafeMutablePointer<UInt8>) {
        // 26 digits are 130 bits: 13 of them (65 bits) hold `low` and the lowest bit of `high`.
        write(high >> 1, digits: 13, to: target)
        write(low & (1 << 60 - 1), digits: 12, to: target + 14)
        target[13] = digits.utf8Start[Int((high & 1) << 4 | low >> 60)]
    }
}

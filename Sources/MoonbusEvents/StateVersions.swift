/// Draws the versions that stored values get.
///
/// A version names one write of one key: whoever makes the write draws it, whoever keeps the value keeps it as it is, and all that anybody
/// may do with it is compare it for equality. So the writer knows the version of what it wrote before the commit, a key that was deleted
/// and made again never looks unchanged, and nobody has to count.
///
/// - Versions are 1…2^63 - 1: 0 stands for "absent", and every store and every JSON reader has signed 64-bit integers.
/// - They are drawn for each write of each run, and not derived from the delivery. A delivery runs again under the same identity and the
///   same attempt after a conflict, or when its lane was lost; what its earlier run wrote may be known to others of its lane, though
///   nothing of it was committed. With the same version they would take the one for the other, and commit what they made of it.
/// - A conflict goes unnoticed if a write draws the very version that another run saw under the same key: 1 in 2^63.
///
/// A sequence is SplitMix64 from a random start, because a number from the system costs a system call.
package struct StateVersions: Sendable {
    private var state: UInt64

    /// Starts at a random place.
    package init() {
        state = .random(in: .min ... .max)
    }

    /// A version that was not drawn before.
    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return max(1, (mixed ^ mixed >> 31) >> 1)
    }

    /// Whether a value may have this version.
    package static func isValid(_ version: UInt64) -> Bool {
        1...UInt64(Int64.max) ~= version
    }
}

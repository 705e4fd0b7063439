internal import Synchronization

/// Fresh event ids: 26 Crockford characters that sort by time.
///
/// 48 bits of milliseconds since 1970, 40 random bits that this process drew once, 40 bits that count up: unique in the
/// process by the count, among processes by the draw (two that count alike in the same millisecond collide with a
/// probability of 10^-12). No system call and no lock per id; any thread.
enum EventID {
    /// How many bytes an id has.
    static let size = 26

    private static let counter = Atomic<UInt64>(0)
    /// The 8 characters of the random part, drawn when the first id is made.
    private static let draw = UInt64.random(in: 0..<(1 << 40))

    /// Writes an id; `target` has room for ``size`` bytes.
    static func write(now: Timestamp, to target: UnsafeMutablePointer<UInt8>) {
        let count = counter.wrappingAdd(1, ordering: .relaxed).oldValue
        Crockford.write(UInt64(clamping: now.microseconds) / 1_000, digits: 10, to: target)
        Crockford.write(draw, digits: 8, to: target + 10)
        Crockford.write(count, digits: 8, to: target + 18)
    }
}

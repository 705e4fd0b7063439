/// Reads the outcome records of one frame, in place and without allocating.
///
///     var reader = try OutcomeReader(frame.body)
///     while let outcome = try reader.next() { settle(outcome) }
///
/// A record:
///
/// | offset | type | field |
/// |---|---|---|
/// | 0 | u64 | delivery |
/// | 8 | u8 | status |
/// | 9 | u8[3] | zero |
/// | 12 | u32 | effects size |
/// | 16 | u32 | detail size |
/// | 20 | u32 | size of this record with padding, a multiple of 8 |
/// | 24 | … | effects, detail, zero padding |
package struct OutcomeReader {
    /// How many records are left.
    private(set) package var count: Int
    private var rest: UnsafeRawBufferPointer

    package init(_ body: UnsafeRawBufferPointer) throws(FrameError) {
        var cursor = FrameCursor(body)
        count = Int(try cursor.integer(UInt32.self))
        try cursor.zeros(4)
        rest = cursor.rest
        guard count <= rest.count / OutcomeRecord.headerSize else {
            throw FrameError(.badSize, "\(count) outcomes do not fit into \(rest.count) bytes")
        }
    }

    /// The next record; nil when there are no more.
    package mutating func next() throws(FrameError) -> OutcomeRecord? {
        guard count > 0 else {
            guard rest.isEmpty else { throw FrameError(.badSize, "\(rest.count) bytes follow the last outcome") }
            return nil
        }
        guard rest.count >= OutcomeRecord.headerSize else { throw FrameError(.badSize, "an outcome record is cut off") }
        let reserved = UInt32(littleEndian: rest.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        let effects = Int(UInt32(littleEndian: rest.loadUnaligned(fromByteOffset: 12, as: UInt32.self)))
        let detail = Int(UInt32(littleEndian: rest.loadUnaligned(fromByteOffset: 16, as: UInt32.self)))
        let size = Int(UInt32(littleEndian: rest.loadUnaligned(fromByteOffset: 20, as: UInt32.self)))
        guard size <= rest.count, size == padded(OutcomeRecord.headerSize + effects + detail) else {
            throw FrameError(.badSize, "an outcome of \(effects) + \(detail) bytes claims \(size); \(rest.count) are left")
        }
        guard reserved <= 0xFF, let status = OutcomeStatus(rawValue: UInt8(reserved)) else {
            throw FrameError(.badValue, "no outcome has the status \(reserved)")
        }
        guard effects == 0 || status == .done || status == .checkpoint else {
            throw FrameError(.badValue, "an outcome that is \(status) has effects")
        }
        let body = OutcomeRecord.headerSize
        let outcome = OutcomeRecord(
            delivery: UInt64(littleEndian: rest.loadUnaligned(as: UInt64.self)), status: status,
            effects: UnsafeRawBufferPointer(rebasing: rest[body..<body + effects]),
            detail: UnsafeRawBufferPointer(rebasing: rest[body + effects..<body + effects + detail]))
        rest = UnsafeRawBufferPointer(rebasing: rest[size...])
        count -= 1
        return outcome
    }
}

/// How a delivery ended; the numbers are those of `moonbus_status` (CLuaShim.h).
package enum OutcomeStatus: UInt8, Sendable {
    case done = 0
    /// Not the end: what a source that runs for ever has staged so far.
    case checkpoint = 1
    case failed = 2
    case memory = 3
    case timeout = 4
    /// Cut inside C code, together with its context.
    case killed = 5
    case rejected = 7
    case retry = 8
    /// Ended because the host said so.
    case cancelled = 9
}

/// One outcome, in place: valid as long as its frame is.
package struct OutcomeRecord {
    static let headerSize = 24

    package let delivery: UInt64
    package let status: OutcomeStatus
    /// For ``EffectReader``; empty unless done or checkpoint.
    package let effects: UnsafeRawBufferPointer
    /// done: the result's JSON, empty for nil · failed…killed: error JSON (``LaneFault``) · rejected, cancelled: the reason · retry: ``retryDelay()``.
    package let detail: UnsafeRawBufferPointer

    /// The detail as text, with replacement characters where it is not UTF-8.
    package var reason: String { String(decoding: detail, as: UTF8.self) }

    /// After how long `bus.retry` wants to be called again.
    package func retryDelay() throws(FrameError) -> Duration {
        guard status == .retry, detail.count == 8 else { throw FrameError(.badSize, "a retry without its delay") }
        let microseconds = Int64(littleEndian: detail.loadUnaligned(as: Int64.self))
        guard microseconds >= 0 else { throw FrameError(.badValue, "a retry in the past") }
        return .microseconds(microseconds)
    }
}

extension FrameBuffer {
    /// Writes one outcome record into the open frame.
    func appendOutcome(delivery: UInt64, status: OutcomeStatus, effects: UnsafeRawBufferPointer, detail: UnsafeRawBufferPointer) {
        append(delivery)
        append(UInt32(status.rawValue))
        append(UInt32(effects.count))
        append(UInt32(detail.count))
        append(UInt32(padded(OutcomeRecord.headerSize + effects.count + detail.count)))
        append(bytes: effects)
        append(bytes: detail)
        pad()
    }
}

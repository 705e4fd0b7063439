/// W3C trace context: `00-<32 hex trace>-<16 hex span>-<2 hex flags>`.
///
/// A trace is the tree of events and deliveries that grew from one root; every event of it has the same trace id.
package struct TraceContext: Sendable, Hashable, CustomStringConvertible {
    /// The trace's id, upper half.
    package var traceHigh: UInt64
    /// The trace's id, lower half. Both halves together are never 0.
    package var traceLow: UInt64
    /// The span in which the event was made; never 0.
    package var span: UInt64
    /// Bit 0: the trace is recorded.
    package var flags: UInt8

    /// How many bytes the text has.
    package static let size = EventRecord.traceparentSize

    /// Starts a trace.
    package init() {
        traceHigh = .random(in: 1...UInt64.max)
        traceLow = .random(in: 0...UInt64.max)
        span = .random(in: 1...UInt64.max)
        flags = 1
    }

    /// Reads a `traceparent`; `nil` unless it is one of version 00 by the grammar, in lower case, with ids that are not zero.
    package init?(_ text: String) {
        guard let context = text.withUTF8Bytes({ TraceContext($0) }) else { return nil }
        self = context
    }

    /// Reads a `traceparent` from its bytes.
    package init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count == Self.size, bytes[0] == UInt8(ascii: "0"), bytes[1] == UInt8(ascii: "0"),
            [2, 35, 52].allSatisfy({ bytes[$0] == UInt8(ascii: "-") }),
            let high = Self.number(bytes[3..<19]), let low = Self.number(bytes[19..<35]),
            let span = Self.number(bytes[36..<52]), let flags = Self.number(bytes[53..<55]),
            high != 0 || low != 0, span != 0
        else { return nil }
        traceHigh = high
        traceLow = low
        self.span = span
        self.flags = UInt8(flags)
    }

    /// The same trace, a new span: the context of what is done because of this one.
    package func child() -> TraceContext {
        var context = self
        context.span = .random(in: 1...UInt64.max)
        return context
    }

    /// The `traceparent`.
    package var description: String {
        String(unsafeUninitializedCapacity: Self.size) { buffer in
            write(to: UnsafeMutableRawBufferPointer(buffer))
            return Self.size
        }
    }

    /// Writes the `traceparent`; `buffer` has at least ``size`` bytes.
    package func write(to buffer: UnsafeMutableRawBufferPointer) {
        buffer[0] = UInt8(ascii: "0")
        buffer[1] = UInt8(ascii: "0")
        for place in [2, 35, 52] { buffer[place] = UInt8(ascii: "-") }
        Self.write(traceHigh, digits: 16, at: 3, of: buffer)
        Self.write(traceLow, digits: 16, at: 19, of: buffer)
        Self.write(span, digits: 16, at: 36, of: buffer)
        Self.write(UInt64(flags), digits: 2, at: 53, of: buffer)
    }

    private static func write(_ number: UInt64, digits: Int, at place: Int, of buffer: UnsafeMutableRawBufferPointer) {
        var rest = number
        for index in stride(from: place + digits - 1, through: place, by: -1) {
            let digit = UInt8(rest & 15)
            buffer[index] = digit < 10 ? 48 + digit : 87 + digit
            rest >>= 4
        }
    }

    private static func number(_ digits: Slice<UnsafeRawBufferPointer>) -> UInt64? {
        var number: UInt64 = 0
        for digit in digits {
            switch digit {
            case 48...57: number = number << 4 | UInt64(digit - 48)
            case 97...102: number = number << 4 | UInt64(digit - 87)
            default: return nil
            }
        }
        return number
    }
}

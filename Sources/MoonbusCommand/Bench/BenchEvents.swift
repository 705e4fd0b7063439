import MoonbusEvents

/// Makes the workload's events, `order.created` with `{"id":…,"amount":150,"key":"k42"}`, as cheaply as a source that knows its data could:
/// what is measured is the bus, not the making of strings.
final class BenchEvents {
    private let bytes: UnsafeMutableRawBufferPointer
    private let type: UnsafeRawBufferPointer
    private var now = Timestamp.now()
    private var maker = EventMaker()
    /// Where the number is written: it is padded with blanks, which are JSON's white space.
    private static let prefix = #"{"id":"#
    private static let suffix = #","amount":150,"key":"k42"}"#
    private static let digits = 10

    init() {
        let type = Array("order.created".utf8)
        let data = Array(Self.prefix.utf8) + Array(repeating: UInt8(ascii: " "), count: Self.digits) + Array(Self.suffix.utf8)
        bytes = .allocate(byteCount: type.count + data.count, alignment: 8)
        bytes.copyBytes(from: type + data)
        self.type = UnsafeRawBufferPointer(rebasing: bytes[..<type.count])
    }

    deinit { bytes.deallocate() }

    /// The event with a number, 0…2³¹.
    func event(_ number: Int) -> Event {
        let end = type.count + Self.prefix.utf8.count + Self.digits
        var rest = number
        for offset in 1...Self.digits {
            bytes[end - offset] = rest > 0 || offset == 1 ? UInt8(48 + rest % 10) : UInt8(ascii: " ")
            rest /= 10
        }
        var fields = EventFields()
        fields.type = type
        fields.data = UnsafeRawBufferPointer(rebasing: bytes[type.count...])
        // A source that makes events in batches reads the clock once a batch.
        if number % 256 == 0 { now = .now() }
        return maker.make(fields, now: now)
    }
}

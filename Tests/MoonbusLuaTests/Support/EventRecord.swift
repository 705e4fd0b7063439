/// An event record (docs/frames.md), built by hand: this target knows no MoonbusEvents.
struct EventRecord {
    var type = "order.created"
    var data: String?
    var id = "id-1"
    var source = "/tests"
    var subject = ""
    var key = ""
    var traceparent = ""
    var causeid = ""
    var extensions = ""
    var hops: UInt16 = 0
    var time: Int64 = 1_700_000_000_123_456

    init(type: String = "order.created", data: String? = nil) {
        self.type = type
        self.data = data
    }

    var bytes: [UInt8] {
        let data = data ?? ""
        let texts = [type, id, source, subject, key, traceparent, causeid, extensions, data]
        let size = (40 + texts.reduce(0) { $0 + $1.utf8.count } + 7) / 8 * 8
        var bytes: [UInt8] = []
        bytes.append(little: UInt32(size))
        bytes.append(little: hops)
        bytes.append(little: UInt16(type.utf8.count))
        bytes.append(little: time)
        for text in [id, source, subject, key, traceparent, causeid] { bytes.append(little: UInt16(text.utf8.count)) }
        bytes.append(little: UInt32(extensions.utf8.count))
        bytes.append(little: UInt32(data.utf8.count))
        bytes.append(little: UInt32(0))
        for text in texts { bytes += Array(text.utf8) }
        bytes += Array(repeating: 0, count: size - bytes.count)
        return bytes
    }

    /// Calls `body` with pointers to aligned copies.
    static func withPointers<Result>(_ records: [EventRecord], _ body: ([UnsafePointer<UInt8>?]) -> Result) -> Result {
        let copies = records.map { record in
            let bytes = record.bytes
            let copy = UnsafeMutableRawPointer.allocate(byteCount: bytes.count, alignment: 8)
            bytes.withUnsafeBytes { copy.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
            return copy
        }
        defer { for copy in copies { copy.deallocate() } }
        return body(copies.map { UnsafePointer($0.assumingMemoryBound(to: UInt8.self)) })
    }
}

extension [UInt8] {
    fileprivate mutating func append(little integer: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: integer.littleEndian) { append(contentsOf: $0) }
    }
}

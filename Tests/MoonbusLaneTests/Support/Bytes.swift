import MoonbusLane

/// The bytes of whatever frames `write` appends.
func bytes(_ write: (FrameBuffer) -> Void) -> [UInt8] {
    let buffer = FrameBuffer()
    write(buffer)
    return Array(buffer.bytes)
}

/// Feeds `stream` to a reader and hands each frame to `body`. Frames are decoded from 8-byte aligned memory, as in real life.
func readFrames(_ stream: [UInt8], limit: Int = Frame.sizeMax, _ body: (Frame) throws -> Void) throws {
    let reader = FrameReader(limit: limit)
    var sent = 0
    repeat {
        let space = reader.space()
        let count = min(space.count, stream.count - sent)
        space.copyBytes(from: stream[sent..<sent + count])
        reader.filled(count)
        sent += count
        while let frame = try reader.next() { try body(frame) }
    } while sent < stream.count
}

extension UnsafeRawBufferPointer {
    var text: String { String(decoding: self, as: UTF8.self) }
}

extension String {
    func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        var text = self
        return try text.withUTF8 { try body(UnsafeRawBufferPointer($0)) }
    }
}

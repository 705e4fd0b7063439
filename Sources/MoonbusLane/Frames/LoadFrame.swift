/// A plugin's sources and settings, as they lie in a `load` frame.
package struct LoadFrame {
    package struct File {
        /// `main.lua` or `lib/….lua`.
        package let path: String
        package let bytes: UnsafeRawBufferPointer
    }

    /// A plugin has no more files than this.
    package static let fileCountMax = 1_000

    package let context: UInt32
    /// JSON, see ``FrameBuffer/appendLoad(context:header:files:)``.
    package let header: UnsafeRawBufferPointer
    package let files: [File]

    package init(_ body: UnsafeRawBufferPointer) throws(FrameError) {
        var cursor = FrameCursor(body)
        context = try cursor.integer(UInt32.self)
        header = try cursor.bytes(Int(try cursor.integer(UInt32.self)))
        let count = try cursor.integer(UInt32.self)
        guard count <= Self.fileCountMax else { throw FrameError(.badValue, "a plugin of \(count) files; at most 1,000 are loaded") }
        var files: [File] = []
        for _ in 0..<count {
            let path = try cursor.text(Int(try cursor.integer(UInt16.self)))
            files.append(File(path: path, bytes: try cursor.bytes(Int(try cursor.integer(UInt32.self)))))
        }
        self.files = files
        try cursor.end()
    }
}

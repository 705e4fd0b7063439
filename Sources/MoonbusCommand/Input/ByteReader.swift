import Glibc

/// Reads a file or standard input piece by piece, so that a file of any size, or one that never ends, can be emitted.
final class ByteReader {
    private let descriptor: Int32
    private var chunk = [UInt8](repeating: 0, count: 64 << 10)
    private var next = 0
    private var end = 0
    /// Bytes read so far.
    private(set) var position = 0
    /// Bytes altogether; nil when nobody knows (a pipe).
    let total: Int?
    /// What it reads, for errors.
    let name: String

    /// - Parameter path: `-` is standard input.
    /// - Throws: ``CommandError`` 65 when the file can't be read.
    init(path: String) throws {
        name = path == "-" ? "standard input" : path
        descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw CommandError(.badData, "\(path) can't be read: \(systemReason())") }
        var status = stat()
        let isFile = fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        guard status.st_mode & S_IFMT != S_IFDIR else {
            close(descriptor)
            throw CommandError(.badData, "\(path) is a folder: name a file")
        }
        total = isFile ? Int(status.st_size) : nil
    }

    deinit {
        if descriptor != STDIN_FILENO { close(descriptor) }
    }

    /// The next byte; nil at the end.
    func nextByte() throws -> UInt8? {
        if next == end, try !fill() { return nil }
        defer { next += 1 }
        position += 1
        return chunk[next]
    }

    /// The next line without its end (LF or CRLF); nil at the end.
    ///
    /// - Parameter limit: the most bytes of a line.
    func nextLine(limit: Int) throws -> [UInt8]? {
        var line: [UInt8] = []
        while true {
            if next == end, try !fill() { return line.isEmpty ? nil : line }
            let rest = chunk[next..<end]
            let stop = rest.firstIndex(of: 0x0A)
            line.append(contentsOf: chunk[next..<(stop ?? end)])
            position += (stop.map { $0 + 1 } ?? end) - next
            next = stop.map { $0 + 1 } ?? end
            guard line.count <= limit else { throw CommandError(.badData, "\(name) has a line of more than \(limit) bytes") }
            if stop != nil {
                if line.last == 0x0D { line.removeLast() }
                return line
            }
        }
    }

    /// Everything that is left.
    ///
    /// - Parameter limit: the most bytes.
    func rest(limit: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while try next < end || fill() {
            bytes.append(contentsOf: chunk[next..<end])
            position += end - next
            next = end
            guard bytes.count <= limit else { throw CommandError(.badData, "\(name) has more than \(limit) bytes") }
        }
        return bytes
    }

    private func fill() throws -> Bool {
        while true {
            let count = chunk.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                throw CommandError(.ioError, "\(name) can't be read: \(systemReason())")
            }
            (next, end) = (0, count)
            return count > 0
        }
    }
}

/// The system's words for what went wrong last.
func systemReason() -> String { String(cString: strerror(errno)) }

import Glibc

/// A note beside a journal: where the service that has it can be asked. Only for people; nothing depends on it.
enum ServiceNote {
    private static func path(in folder: String) -> String { "\(folder)/moonbus.url" }

    /// Leaves the note.
    static func write(_ url: String, in folder: String) {
        let file = open(path(in: folder), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { return }
        let text = Array("\(url)\n".utf8)
        _ = Glibc.write(file, text, text.count)
        close(file)
    }

    /// Takes it away.
    static func remove(in folder: String) { unlink(path(in: folder)) }

    /// The address in the note.
    static func address(in folder: String) -> String? {
        guard let bytes = try? ByteReader(path: path(in: folder)).rest(limit: 256) else { return nil }
        let line = String(decoding: bytes.prefix { $0 != 10 }, as: UTF8.self)
        return (try? ServiceAddress(line))?.text
    }
}

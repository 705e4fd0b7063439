import Glibc

/// A fresh folder in which a test writes plugins the ways that editors and scripts do; removed at the end.
final class TemporaryFolder: Sendable {
    let path: String
    private let isOwner: Bool

    init() {
        isOwner = true
        var template = Array("/tmp/moonbus-plugins-XXXXXX".utf8CString)
        precondition(mkdtemp(&template) != nil, "mkdtemp failed")
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { if isOwner { removeTree(path) } }

    private init(path: String) {
        self.path = path
        isOwner = false
    }

    /// A folder in this one, which need not be there.
    func below(_ name: String) -> TemporaryFolder { TemporaryFolder(path: "\(path)/\(name)") }

    /// Writes in place, as `>` in a shell does. Makes the folders on the way.
    func write(_ text: String, to file: String) {
        makeFolders(for: file)
        let descriptor = open("\(path)/\(file)", O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        append(text, to: descriptor)
        Glibc.close(descriptor)
    }

    /// Writes aside and renames over the file, as most editors do.
    func replace(_ file: String, with text: String) {
        write(text, to: "\(file).new~")
        precondition(rename("\(path)/\(file).new~", "\(path)/\(file)") == 0)
    }

    func openForWriting(_ file: String) -> Int32 {
        makeFolders(for: file)
        return open("\(path)/\(file)", O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    }

    func append(_ text: String, to descriptor: Int32) {
        let bytes = Array(text.utf8)
        precondition(Glibc.write(descriptor, bytes, bytes.count) == bytes.count, "write failed")
    }

    func close(_ descriptor: Int32) { Glibc.close(descriptor) }

    /// Makes that many events in the folder, of two files in turn: the kernel puts equal ones in a row together.
    func flood(with count: Int) {
        let noise = ["noise-1", "noise-2"].map { "\(path)/\($0)" }
        for file in noise { Glibc.close(open(file, O_WRONLY | O_CREAT, 0o644)) }
        for index in 0..<count { chmod(noise[index % 2], 0o600) }
    }

    func delete(_ file: String) { precondition(remove("\(path)/\(file)") == 0) }

    func makeFolder(_ folder: String) { makeFolders(for: "\(folder)/x") }

    func link(_ file: String, to target: String) { precondition(symlink(target, "\(path)/\(file)") == 0) }

    private func makeFolders(for file: String) {
        var below = path
        for part in file.split(separator: "/").dropLast() {
            below += "/\(part)"
            mkdir(below, 0o755)
        }
    }
}

/// Removes a folder with everything in it; follows no links.
private func removeTree(_ path: String) {
    if let stream = opendir(path) {
        while let entry = readdir(stream) {
            let isFolder = entry.pointee.d_type == UInt8(DT_DIR)
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name == "." || name == ".." { continue }
            if isFolder { removeTree("\(path)/\(name)") } else { unlink("\(path)/\(name)") }
        }
        closedir(stream)
    }
    rmdir(path)
}

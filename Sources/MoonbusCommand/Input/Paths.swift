import Glibc

/// Whether a path is a folder.
func hasFolder(at path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
}

/// Whether a path is a file.
func hasFile(at path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
}

/// The file that runs now: lanes are started from it.
///
/// - Throws: ``CommandError`` 70 where there is no `/proc`.
func ownExecutable() throws -> String {
    var path = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
    let count = readlink("/proc/self/exe", &path, path.count - 1)
    guard count > 0 else { throw CommandError(.internal, "/proc/self/exe can't be read: \(systemReason())") }
    return String(decoding: path[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

import Glibc
import Synchronization

/// Fresh paths for folders below one of their own, which goes with this object.
final class TemporaryFolders: Sendable {
    private let root: String
    private let count = Mutex(0)

    init() {
        var template = Array("/tmp/moonbus-sqlite-XXXXXX".utf8CString)
        precondition(mkdtemp(&template) != nil, "no temporary folder: \(String(cString: strerror(errno)))")
        root = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        removeTree(root)
    }

    /// The path of a folder that is not there yet.
    func next() -> String {
        count.withLock { count in
            count += 1
            return "\(root)/\(count)"
        }
    }

    /// What ``next()`` gave last.
    var last: String { count.withLock { "\(root)/\($0)" } }
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

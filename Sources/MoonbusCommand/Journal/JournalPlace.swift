/// Where a service keeps its journal.
enum JournalPlace: Equatable, CustomStringConvertible {
    /// In the process: for trying things out.
    case memory
    /// In a folder of its own.
    case folder(String)

    /// The name of a folder beside the plugins folder: the two belong together, and inside of it each commit would look like a change of a plugin.
    static let folderName = ".moonbus"

    /// Reads the setting; nil when it is empty.
    init?(_ text: String) {
        if text.isEmpty { return nil }
        self = text == "memory" ? .memory : .folder(text)
    }

    /// The place beside a plugins folder.
    init(besides plugins: String) {
        var path = plugins[...]
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        let name = path.split(separator: "/").last
        if name == nil || name == "." || name == ".." {
            self = .folder("\(path)/../\(Self.folderName)")
        } else if let slash = path.lastIndex(of: "/") {
            self = .folder("\(path[...slash])\(Self.folderName)")
        } else {
            self = .folder(Self.folderName)
        }
    }

    /// As the setting says it.
    var description: String {
        switch self {
        case .memory: "memory"
        case .folder(let path): path
        }
    }
}

extension Settings {
    /// Where the journal is: as set, or beside the plugins.
    var journalPlace: JournalPlace { journal ?? JournalPlace(besides: plugins) }
}

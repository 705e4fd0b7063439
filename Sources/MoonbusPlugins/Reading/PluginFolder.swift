import Glibc

/// Reads plugins from the folder that holds them, without ever following a symbolic link below it.
package struct PluginFolder: Sendable {
    /// The folder; may itself be a link, since the operator chose it.
    package let path: String

    package init(path: String) { self.path = path }

    /// What the folder has under a name.
    package enum Finding: Sendable, Equatable {
        case absent
        case plugin(PluginSource)
        case refused(PluginError)
    }

    /// Whether there is a folder at its path.
    var isThere: Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Names under which the folder has something that is, or tries to be, a plugin; sorted.
    ///
    /// Left out without a word: names that begin with a dot or end with `~`, files other than `.lua`, tests (`*_test.lua`).
    ///
    /// - Throws: ``PluginError`` `.unreadable` when the folder can't be read.
    package func names() throws(PluginError) -> [String] {
        let folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else {
            let cause = errno
            throw PluginError(
                .unreadable, plugin: path, message: "the plugins folder can't be read: \(reason(cause))",
                hint: cause == ENOTDIR ? "name the folder that it lies in" : "create it, or name another one")
        }
        defer { close(folder) }
        var names: Set<String> = []
        for entry in try entries(of: folder, plugin: path, shown: path) {
            if let name = Self.name(ofEntry: entry.name, isFolder: entry.isFolder) { names.insert(name) }
        }
        return names.sorted()
    }

    /// The plugin's name that an entry of the folder stands for; nil for entries that are none of our business.
    static func name(ofEntry entry: String, isFolder: Bool) -> String? {
        if entry.hasPrefix(".") || entry.hasSuffix("~") || entry.hasSuffix("_test.lua") { return nil }
        if isFolder { return entry }
        return entry.hasSuffix(".lua") && entry.count > 4 ? String(entry.dropLast(4)) : nil
    }

    /// Reads one plugin whole: twice, and only what was the same both times counts.
    ///
    /// A folder without `main.lua` is absent unless it has a `plugin.toml`: it may just be in the making.
    ///
    /// - Returns: nil when the files changed between the two reads: ask again.
    package func read(_ name: String) -> Finding? {
        let first = readOnce(name)
        return readOnce(name) == first ? first : nil
    }

    private func readOnce(_ name: String) -> Finding {
        do throws(PluginError) {
            let folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            guard folder >= 0 else { return .refused(unreadable(name, path, errno)) }
            defer { close(folder) }
            let file = try kind(of: "\(name).lua", in: folder, plugin: name)
            let subfolder = try kind(of: name, in: folder, plugin: name)
            if file == nil, subfolder == nil { return .absent }
            guard PluginSource.isName(name) else {
                let entry = subfolder == nil ? "\(name).lua" : name
                if subfolder == .folder, entry.hasSuffix(".lua") {
                    throw PluginError(
                        .badName, plugin: entry, file: entry, message: "'\(entry)' is a folder, but has the name of a file",
                        hint: "call it '\(entry.dropLast(4))': a plugin's folder has main.lua in it, and no '.lua' behind its name")
                }
                throw PluginError(
                    .badName, plugin: entry, file: entry, message: "'\(entry)' can't be a plugin's name",
                    hint: "names have 1 to 64 characters out of a-z, 0-9, '_' and '-'")
            }
            if file == nil { return try readFolder(name, in: folder) }
            if subfolder == .folder, case .plugin = try readFolder(name, in: folder) {
                throw PluginError(
                    .badName, plugin: name, file: "\(name).lua",
                    message: "there are both '\(name).lua' and a plugin in the folder '\(name)'",
                    hint: "remove one of them, or give it another name")
            }
            let bytes = try readFile("\(name).lua", in: folder, plugin: name, shown: "\(name).lua")
            return .plugin(
                try nonEmpty(PluginSource(name: name, isFolder: false, files: [.init(path: "main.lua", bytes: bytes)], manifest: nil)))
        } catch {
            return .refused(error)
        }
    }

    private func readFolder(_ name: String, in parent: Int32) throws(PluginError) -> Finding {
        let folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard folder >= 0 else { throw unreadable(name, name, errno) }
        defer { close(folder) }
        let hasMain = try kind(of: "main.lua", in: folder, plugin: name) != nil
        let hasManifest = try kind(of: "plugin.toml", in: folder, plugin: name) != nil
        guard hasMain else {
            guard hasManifest else { return .absent }
            throw PluginError(
                .unreadable, plugin: name, file: "\(name)/main.lua", message: "there is a plugin.toml, but no main.lua",
                hint: "a plugin's code begins in main.lua")
        }
        var source = PluginSource(name: name, isFolder: true, files: [], manifest: nil)
        source.files.append(.init(path: "main.lua", bytes: try readFile("main.lua", in: folder, plugin: name, shown: "\(name)/main.lua")))
        if hasManifest {
            let bytes = try readFile("plugin.toml", in: folder, plugin: name, shown: "\(name)/plugin.toml")
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw PluginError(.badManifest, plugin: name, file: "\(name)/plugin.toml", message: "the manifest is not UTF-8")
            }
            source.manifest = text
        }
        if try kind(of: "lib", in: folder, plugin: name) == .folder {
            var total = source.files[0].bytes.count
            try readModules("lib", in: folder, depth: 1, total: &total, into: &source)
        }
        return .plugin(try nonEmpty(source))
    }

    /// Reads the Lua files of `path` (its last component lies in `parent`) and below, sorted by name.
    private func readModules(
        _ path: String, in parent: Int32, depth: Int, total: inout Int, into source: inout PluginSource
    ) throws(PluginError) {
        let shown = "\(source.name)/\(path)"
        let last = path.split(separator: "/").last.map(String.init) ?? path
        let folder = openat(parent, last, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard folder >= 0 else { throw unreadable(source.name, shown, errno) }
        defer { close(folder) }
        for entry in try entries(of: folder, plugin: source.name, shown: shown) where !entry.name.hasPrefix(".") {
            let below = "\(path)/\(entry.name)"
            if entry.isFolder {
                guard depth < PluginSource.depthMax else {
                    throw PluginError(
                        .tooLarge, plugin: source.name, file: "\(source.name)/\(below)",
                        message: "lib is nested more than \(PluginSource.depthMax) deep")
                }
                try readModules(below, in: folder, depth: depth + 1, total: &total, into: &source)
            } else if entry.name.hasSuffix(".lua") {
                let bytes = try readFile(entry.name, in: folder, plugin: source.name, shown: "\(source.name)/\(below)")
                total += bytes.count
                guard total <= PluginSource.sizeMax, source.files.count <= PluginSource.fileCountMax else {
                    throw PluginError(
                        .tooLarge, plugin: source.name, file: "\(source.name)/\(below)",
                        message: "the plugin's files are more than 8 MiB or 1,000 altogether")
                }
                source.files.append(.init(path: below, bytes: bytes))
            }
        }
    }

    // MARK: The file system

    private enum Kind { case file, folder }

    /// What `name` is; nil when there is nothing of that name.
    private func kind(of name: String, in folder: Int32, plugin: String) throws(PluginError) -> Kind? {
        var status = stat()
        guard fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
            if errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG { return nil }
            throw unreadable(plugin, name, errno)
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG: return .file
        case S_IFDIR: return .folder
        case S_IFLNK: throw link(plugin, name)
        default: throw PluginError(.unreadable, plugin: plugin, file: name, message: "'\(name)' is neither a file nor a folder")
        }
    }

    private func readFile(_ name: String, in folder: Int32, plugin: String, shown: String) throws(PluginError) -> [UInt8] {
        // O_NONBLOCK: a FIFO of that name must not stop us; it is refused below.
        let file = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard file >= 0 else { throw errno == ELOOP ? link(plugin, shown) : unreadable(plugin, shown, errno) }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw unreadable(plugin, shown, errno) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw PluginError(.unreadable, plugin: plugin, file: shown, message: "'\(name)' is not a plain file")
        }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: max(min(Int(status.st_size) + 1, PluginSource.fileSizeMax + 1), 4096))
        while true {
            let count = readChunk(file, &chunk)
            if count == 0 { return bytes }
            guard count > 0 else {
                if errno == EINTR { continue }
                throw unreadable(plugin, shown, errno)
            }
            bytes.append(contentsOf: chunk[..<count])
            guard bytes.count <= PluginSource.fileSizeMax else {
                throw PluginError(
                    .tooLarge, plugin: plugin, file: shown, message: "'\(name)' is larger than 1 MiB",
                    hint: "split it into modules under lib/")
            }
        }
    }

    private func entries(of folder: Int32, plugin: String, shown: String) throws(PluginError) -> [(name: String, isFolder: Bool)] {
        let own = fcntl(folder, F_DUPFD_CLOEXEC, 0)  // closedir closes it
        guard own >= 0, let stream = fdopendir(own) else {
            let cause = errno
            if own >= 0 { close(own) }
            throw unreadable(plugin, shown, cause)
        }
        defer { closedir(stream) }
        var found: [(name: String, isFolder: Bool)] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name == "." || name == ".." { continue }
            var status = stat()
            guard fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }  // gone meanwhile: the second read tells
            found.append((name, status.st_mode & S_IFMT == S_IFDIR))
        }
        return found.sorted { $0.name < $1.name }
    }

    // MARK: Errors

    private func unreadable(_ plugin: String, _ shown: String, _ cause: Int32) -> PluginError {
        PluginError(.unreadable, plugin: plugin, file: shown, message: "can't be read: \(reason(cause))")
    }

    private func link(_ plugin: String, _ shown: String) -> PluginError {
        PluginError(
            .unreadable, plugin: plugin, file: shown, message: "is a symbolic link, and links are not followed inside the plugins folder",
            hint: "copy the file to its place")
    }

    /// An editor that truncates before it writes leaves an empty file for a moment; a plugin without code has no purpose anyway.
    private func nonEmpty(_ source: PluginSource) throws(PluginError) -> PluginSource {
        guard source.files[0].bytes.contains(where: { $0 > 0x20 }) else {
            throw PluginError(.unreadable, plugin: source.name, file: source.shownPath(of: "main.lua"), message: "the file is empty")
        }
        return source
    }
}

private func readChunk(_ file: Int32, _ chunk: inout [UInt8]) -> Int {
    chunk.withUnsafeMutableBytes { read(file, $0.baseAddress, $0.count) }
}

/// The system's words for an error number.
func reason(_ cause: Int32) -> String { String(cString: strerror(cause)) }

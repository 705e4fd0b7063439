import Glibc

/// The files of a new plugin.
struct Scaffold {
    /// A file and its text; the path is below the plugins folder.
    struct File: Equatable {
        var path: String
        var text: String
        /// Whether it belongs to the folder, not to the plugin: then one that is there is left alone.
        var isShared = false
    }

    let name: String
    /// A folder with a manifest, or a single file.
    let isFolder: Bool

    var files: [File] {
        let shared = [
            File(path: ".luarc.json", text: Self.languageServer, isShared: true),
            File(path: ".luals/moonbus.lua", text: annotations, isShared: true),
        ]
        guard isFolder else { return [File(path: "\(name).lua", text: main)] + shared }
        return [
            File(path: "\(name)/main.lua", text: main), File(path: "\(name)/plugin.toml", text: manifest),
            File(path: "\(name)/README.md", text: readme),
        ] + shared
    }

    /// The type that the new plugin's handler listens to.
    var type: String { "\(name).asked" }

    private var main: String {
        """
        -- What this plugin does, in one sentence.
        -- Try it:  moonbus emit \(type) '{"name": "Ada"}' --wait
        bus.subscribe("\(type)", function(event)
          local name = event.data and event.data.name or "world"
          local times = kv.incr("times:" .. name)
          bus.emit("\(name).answered", { name = name, times = times })
          return { text = "Hello, " .. name .. "!", times = times }
        end)

        """
    }

    private var manifest: String {
        """
        # What this plugin may use and do. Everything here is optional; these are the defaults, but for the permissions.
        contexts = 1

        # What is said here is also the most that a subscription may ask for with `cpu` and `timeout`.
        [limits]
        memory = "64MB"
        cpu = "1s"
        wait = "30s"
        state = "64MB"

        [permissions]
        subscribe = ["\(name).asked"]
        emit = ["\(name).>"]

        # What main.lua finds in `config`.
        [config]

        """
    }

    private var readme: String {
        """
        # \(name)
        What it listens to, what it emits, what it remembers.

            moonbus emit \(type) '{"name": "Ada"}' --wait

        """
    }

    private static let languageServer = """
        {
          "$schema": "https://raw.githubusercontent.com/LuaLS/vscode-lua/master/setting/schema.json",
          "runtime.version": "Lua 5.4",
          "runtime.builtin": { "io": "disable", "os": "disable", "debug": "disable", "package": "disable", "ffi": "disable", "bit": "disable", "jit": "disable" },
          "workspace.library": [".luals"]
        }

        """

    /// Writes the files below `folder`. Nothing is ever overwritten, and if one of the plugin's own files can't be made, none stays.
    ///
    /// - Returns: the paths that were made.
    /// - Throws: ``CommandError`` 73.
    func write(to folder: String) throws -> [String] {
        for taken in ["\(name).lua", name] where access("\(folder)/\(taken)", F_OK) == 0 {
            throw CommandError(.cannotCreate, "\(folder)/\(taken) is there already, and nothing is overwritten: choose another name")
        }
        var made: [String] = []
        do {
            for file in files {
                let path = "\(folder)/\(file.path)"
                if file.isShared, access(path, F_OK) == 0 { continue }
                try makeFolders(of: path, made: &made)
                try create(path, file.text)
                made.append(path)
            }
        } catch {
            for path in made.reversed() { remove(path) }
            throw error
        }
        return made.filter { access($0, F_OK) == 0 && !hasFolder(at: $0) }
    }

    private func makeFolders(of path: String, made: inout [String]) throws {
        var parent = path.hasPrefix("/") ? "" : "."
        for part in path.split(separator: "/").dropLast() {
            parent += "/\(part)"
            if mkdir(parent, 0o755) == 0 {
                made.append(parent)
            } else if errno != EEXIST {
                throw CommandError(.cannotCreate, "the folder \(parent) can't be made: \(systemReason())")
            }
        }
    }

    private func create(_ path: String, _ text: String) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw CommandError(.cannotCreate, "\(path) can't be made: \(systemReason())") }
        defer { close(file) }
        let bytes = Array(text.utf8)
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress.map { $0 + offset }, bytes.count - offset) }
            guard count > 0 else {
                if errno == EINTR { continue }
                throw CommandError(.cannotCreate, "\(path) can't be written: \(systemReason())")
            }
            offset += count
        }
    }
}

import Glibc

/// The watching thread's state: which folders inotify watches, and which plugins have to settle before they are read.
final class FolderWatch {
    /// What is waited for with one plugin.
    private struct Unsettled {
        var noticed: UInt64
        var changed: UInt64
        /// Files with writes that nobody closed yet, as `watch descriptor/name`.
        var writing: Set<String> = []
        /// It was looked for and not found: it counts as gone once it stays away.
        var isMissing = false
    }

    private struct Watched {
        /// Nil: the plugins folder itself.
        var plugin: String?
        var path: String
    }

    private let folder: PluginFolder
    private let timing: FolderWatcher.Timing
    private let events: Int32
    private let end: Int32
    private let onChange: (FolderWatcher.Change) -> Void
    private let onFolder: (PluginError?) -> Void

    private var watched: [Int32: Watched] = [:]
    private var unsettled: [String: Unsettled] = [:]
    private var told: [String: PluginFolder.Finding] = [:]
    /// Not everything can be watched (too many folders, or the plugins folder is gone): it is read from time to time as well.
    private var isDegraded = false
    /// It was told that the plugins folder can't be read, and not yet that it can be again.
    private var isUnreadable = false
    private var nextRescan: UInt64 = 0

    /// - Parameters:
    ///   - events: an inotify descriptor; closed by this object.
    ///   - end: readable when it is time to stop; closed by this object.
    init(
        folder: PluginFolder, timing: FolderWatcher.Timing, events: Int32, end: Int32,
        onChange: @escaping (FolderWatcher.Change) -> Void, onFolder: @escaping (PluginError?) -> Void
    ) {
        self.folder = folder
        self.timing = timing
        self.events = events
        self.end = end
        self.onChange = onChange
        self.onFolder = onFolder
    }

    deinit {
        close(events)
        close(end)
    }

    /// Watches the folder and tells everything in it, without waiting for it to settle more than it has to.
    func readEverything() {
        rescan(noticed: monotonicNanoseconds())
        for name in unsettled.keys.sorted() { settle(name) }
    }

    /// Waits, reads and tells until it is asked to stop.
    func run() {
        while true {
            var waited = [pollfd(fd: events, events: Int16(POLLIN), revents: 0), pollfd(fd: end, events: Int16(POLLIN), revents: 0)]
            let status = poll(&waited, 2, timeout())
            if status < 0, errno != EINTR { isDegraded = true }
            if waited[1].revents != 0 { return }
            drainEvents()
            if isDegraded, monotonicNanoseconds() >= nextRescan { rescan(noticed: monotonicNanoseconds()) }
            for name in unsettled.keys.sorted() where isSettled(name) { settle(name) }
        }
    }

    // MARK: Settling

    /// When the plugin may be read, CLOCK_MONOTONIC nanoseconds.
    private func due(_ state: Unsettled) -> UInt64 {
        let wait = state.isMissing ? timing.vanish : state.writing.isEmpty ? timing.settle : timing.writerMax
        return state.changed + wait.nanoseconds
    }

    private func isSettled(_ name: String) -> Bool { unsettled[name].map { due($0) <= monotonicNanoseconds() } ?? false }

    private func timeout() -> Int32 {
        var next = unsettled.values.map { due($0) }.min() ?? .max
        if isDegraded { next = min(next, nextRescan) }
        guard next != .max else { return -1 }
        let now = monotonicNanoseconds()
        return next <= now ? 0 : Int32(min((next - now) / 1_000_000 + 1, 60_000))
    }

    private func touch(_ name: String, _ change: (inout Unsettled) -> Void = { _ in }) {
        let now = monotonicNanoseconds()
        var state = unsettled[name] ?? Unsettled(noticed: now, changed: now)
        state.changed = now
        state.isMissing = false
        change(&state)
        unsettled[name] = state
    }

    /// Reads a plugin that holds still and tells it when it is new.
    private func settle(_ name: String) {
        guard let before = unsettled[name] else { return }
        watchFolders(of: name)
        let finding = folder.read(name)
        drainEvents()
        guard let finding, let state = unsettled[name], state.changed == before.changed else {
            touch(name)  // it moved under our eyes
            return
        }
        if finding == .absent, !state.isMissing, told[name] != nil, told[name] != .absent {
            unsettled[name]?.isMissing = true
            return
        }
        unsettled[name] = nil
        if finding == .absent, !folder.isThere {
            isDegraded = true  // all of it was moved away: nothing is gone
            return
        }
        guard (told[name] ?? .absent) != finding else { return }
        told[name] = finding == .absent ? nil : finding
        onChange(.init(name: name, finding: finding, noticed: state.noticed))
    }

    /// Marks everything that is, or was, in the folder as changed.
    private func rescan(noticed: UInt64) {
        nextRescan = monotonicNanoseconds() + timing.rescan.nanoseconds
        isDegraded = false
        watch(folder.path, plugin: nil)
        let names: [String]
        do throws(PluginError) { names = try folder.names() } catch {
            isDegraded = true  // the folder is gone or unreadable: what was loaded keeps running until it is back
            if !isUnreadable { onFolder(error) }
            isUnreadable = true
            return
        }
        if isUnreadable { onFolder(nil) }
        isUnreadable = false
        for name in Set(names).union(told.keys) {
            touch(name) { $0.noticed = min($0.noticed, noticed) }
        }
    }

    // MARK: inotify

    /// What a file's life consists of: made, written, closed, renamed in or out, removed.
    private static let mask =
        UInt32(IN_CREATE) | UInt32(IN_MODIFY) | UInt32(IN_CLOSE_WRITE) | UInt32(IN_MOVED_FROM) | UInt32(IN_MOVED_TO) | UInt32(IN_DELETE)
        | UInt32(IN_DELETE_SELF) | UInt32(IN_MOVE_SELF) | UInt32(IN_ATTRIB)

    private func watch(_ path: String, plugin: String?) {
        // Below the plugins folder links are not followed; the folder itself may be one.
        let flags = plugin == nil ? UInt32(IN_ONLYDIR) : UInt32(IN_ONLYDIR) | UInt32(IN_DONT_FOLLOW)
        let descriptor = inotify_add_watch(events, path, Self.mask | flags)
        if descriptor >= 0 {
            watched[descriptor] = Watched(plugin: plugin, path: path)
        } else if errno == ENOSPC || (plugin == nil && errno != ENOTDIR) {
            isDegraded = true
        }
    }

    /// Watches a plugin's folder and the folders in its `lib`; adding a watch twice is harmless.
    private func watchFolders(of name: String) {
        func watchBelow(_ path: String, depth: Int) {
            watch(path, plugin: name)
            guard depth < PluginSource.depthMax, let stream = opendir(path) else { return }
            defer { closedir(stream) }
            while let entry = readdir(stream) {
                guard entry.pointee.d_type == UInt8(DT_DIR) else { continue }
                let child = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if !child.hasPrefix(".") { watchBelow("\(path)/\(child)", depth: depth + 1) }
            }
        }
        var status = stat()
        let path = "\(folder.path)/\(name)"
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { return }
        watch(path, plugin: name)
        if lstat("\(path)/lib", &status) == 0, status.st_mode & S_IFMT == S_IFDIR { watchBelow("\(path)/lib", depth: 1) }
    }

    private func drainEvents() {
        withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 8) { buffer in
            while true {
                let size = Glibc.read(events, buffer.baseAddress, buffer.count)
                guard size > 0 else { return }
                var offset = 0
                while offset + MemoryLayout<inotify_event>.size <= size {
                    let event = buffer.load(fromByteOffset: offset, as: inotify_event.self)
                    let text = offset + MemoryLayout<inotify_event>.size
                    let name =
                        event.len > 0 ? String(cString: buffer.baseAddress!.advanced(by: text).assumingMemoryBound(to: CChar.self)) : ""
                    offset = text + Int(event.len)
                    take(event, name: name)
                }
            }
        }
    }

    private func take(_ event: inotify_event, name entry: String) {
        func has(_ flag: Int32) -> Bool { event.mask & UInt32(flag) != 0 }
        if has(IN_Q_OVERFLOW) { return rescan(noticed: monotonicNanoseconds()) }
        guard let place = watched[event.wd] else { return }
        if has(IN_IGNORED) { watched[event.wd] = nil }
        if has(IN_DELETE_SELF) || has(IN_MOVE_SELF) || has(IN_IGNORED) {
            guard let plugin = place.plugin else {
                isDegraded = true
                return
            }
            return touch(plugin)
        }
        let isFolder = event.mask & UInt32(IN_ISDIR) != 0
        let plugin: String
        if let owner = place.plugin {
            // Attributes of folders and files that are no part of the plugin are nobody's change.
            if entry.hasPrefix(".") || entry.hasSuffix("~") { return }
            if !isFolder, !entry.hasSuffix(".lua"), entry != "plugin.toml" { return }
            plugin = owner
        } else {
            guard let name = PluginFolder.name(ofEntry: entry, isFolder: isFolder) else { return }
            plugin = name
        }
        let file = "\(event.wd)/\(entry)"
        touch(plugin) { state in
            if has(IN_MODIFY) { state.writing.insert(file) }
            if has(IN_CLOSE_WRITE) || has(IN_DELETE) || has(IN_MOVED_FROM) || has(IN_MOVED_TO) { state.writing.remove(file) }
        }
    }
}

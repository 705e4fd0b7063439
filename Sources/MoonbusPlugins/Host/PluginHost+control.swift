import MoonbusDispatch
import MoonbusLane

/// What a person or an embedder asks of the host.
extension PluginHost {
    /// How every plugin is, sorted by name.
    public func plugins() async -> [PluginStatus] {
        await bus.owner.perform { self.plugins.values.map { self.status(of: $0) }.sorted { $0.name < $1.name } } ?? []
    }

    /// Loads a plugin that is not in the folder, or a new version of one: for embedders.
    ///
    /// - Parameters:
    ///   - source: the text of its `main.lua`.
    ///   - manifest: the text of its `plugin.toml`.
    /// - Throws: ``PluginError`` saying why it can't be loaded; an earlier version keeps serving.
    public func load(_ name: String, source: String, manifest: String? = nil) async throws(PluginError) {
        guard PluginSource.isName(name) else {
            throw PluginError(
                .badName, plugin: name, message: "'\(name)' can't be a plugin's name",
                hint: "names have 1 to 64 characters out of a-z, 0-9, '_' and '-'")
        }
        let files = PluginSource(
            name: name, isFolder: manifest != nil, files: [.init(path: "main.lua", bytes: Array(source.utf8))], manifest: manifest)
        try await ask(for: name) { plugin throws(PluginError) in
            plugin.latest = files
            return files
        } of: {
            self.plugin(named: name)
        }
    }

    /// Loads one plugin of a folder that is not watched.
    ///
    /// - Throws: ``PluginError``: `.notFound`, or why it can't be loaded.
    package func load(_ name: String, from path: String) async throws(PluginError) {
        let folder = PluginFolder(path: path)
        // Someone is writing: once more is enough for an editor.
        switch folder.read(name) ?? folder.read(name) {
        case .plugin(let source)?:
            try await ask(for: name) { plugin throws(PluginError) in
                plugin.latest = source
                return source
            } of: {
                self.plugin(named: name)
            }
        case .refused(let error)?: throw error
        case .absent?: throw Self.notFound(name)
        case nil: throw PluginError(.unreadable, plugin: name, message: "its files change all the time")
        }
    }

    /// Loads a plugin again, from its files as they are now, and lifts a quarantine.
    ///
    /// - Throws: ``PluginError``: `.notFound`, or why it can't be loaded; the version before keeps serving then.
    public func reload(_ name: String) async throws(PluginError) {
        // Read here and not on the owner thread, which has no time for disks.
        var finding: PluginFolder.Finding?
        if let folder {
            repeat { finding = folder.read(name) } while finding == nil && !Task.isCancelled  // someone writes: it holds still in a moment
        }
        switch finding {
        case .plugin(let source)?:
            try await ask(for: name) { plugin throws(PluginError) in
                plugin.latest = source
                return source
            } of: {
                self.plugin(named: name)
            }
        case .refused(let error)?:
            try await ask(for: name) { _ throws(PluginError) in
                throw error
            } of: {
                self.plugin(named: name)
            }
        case .absent?, nil:
            try await ask(for: name) { plugin throws(PluginError) in
                guard let latest = plugin.latest else { throw Self.notFound(name) }
                return latest
            } of: {
                self.plugins[name]
            }
        }
    }

    /// Lets a plugin run that was disabled or quarantined.
    ///
    /// - Throws: as ``reload(_:)``.
    public func enable(_ name: String) async throws(PluginError) { try await reload(name) }

    /// Switches a plugin off. What it is running it may finish; what comes for it meanwhile stays owed, in the journal, until ``enable(_:)``.
    ///
    /// - Throws: ``PluginError`` `.notFound`.
    public func disable(_ name: String) async throws(PluginError) {
        let found = await bus.owner.perform {
            guard let plugin = self.plugins[name] else { return false }
            self.disable(plugin)
            return true
        }
        guard let found else { throw Self.stoppedError }
        guard found else { throw Self.notFound(name) }
    }

    /// Removes a plugin: what its subscriptions are owed is forgotten, its state stays. A plugin of the folder comes back when its files change.
    ///
    /// - Throws: ``PluginError`` `.notFound`.
    public func unload(_ name: String) async throws(PluginError) {
        let found = await bus.owner.perform {
            guard self.plugins[name] != nil else { return false }
            self.unload(name, keptFor: nil)
            return true
        }
        guard let found else { throw Self.stoppedError }
        guard found else { throw Self.notFound(name) }
    }

    static func notFound(_ name: String) -> PluginError {
        PluginError(.notFound, plugin: name, message: "there is no plugin of this name")
    }

    /// Requests a load on the owner thread and waits for its end.
    private func ask(
        for name: String, _ source: @escaping @Sendable (Plugin) throws(PluginError) -> PluginSource,
        of plugin: @escaping @Sendable () -> Plugin?
    ) async throws(PluginError) {
        let began = monotonicNanoseconds()
        let result = await withCheckedContinuation { (continuation: CheckedContinuation<Result<Void, PluginError>, Never>) in
            let isOpen = bus.owner.post {
                guard self.phase == .running else { return continuation.resume(returning: .failure(Self.stoppedError)) }
                guard let plugin = plugin() else { return continuation.resume(returning: .failure(Self.notFound(name))) }
                do throws(PluginError) {
                    let source = try source(plugin)
                    plugin.standing = .active
                    plugin.strikes.forgive()
                    self.request(
                        plugin, LoadRequest(source: source, cause: .asked, began: began, waiting: [{ continuation.resume(returning: $0) }]))
                } catch {
                    self.refuse(plugin, error, waiting: [{ continuation.resume(returning: $0) }])
                }
            }
            if !isOpen { continuation.resume(returning: .failure(Self.stoppedError)) }
        }
        try result.get()
    }

    private func status(of plugin: Plugin) -> PluginStatus {
        let serving = plugin.serving
        let isRunning = serving?.contexts.isEmpty == false
        let state: PluginStatus.State =
            switch plugin.standing {
            case .disabled: .disabled
            case .quarantined: .quarantined
            case .active where isRunning: .running
            case .active where serving != nil: .restarting
            case .active where plugin.loading != nil: .loading
            case .active: .failed
            }
        return PluginStatus(
            name: plugin.name, state: state, version: plugin.versionCount, digest: serving?.source.digest ?? 0, since: plugin.since,
            lanes: Set(serving?.contexts.map(\.lane.number) ?? []).sorted(),
            subscriptions: (serving?.names ?? []).map { "\(plugin.name).\($0)" },
            inFlight: serving?.flightCount ?? 0, strikes: plugin.strikes.count, error: plugin.failure)
    }
}

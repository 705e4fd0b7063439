import MoonbusDispatch
import MoonbusEvents
import MoonbusLane

/// A reload is a transaction: the new version is read, loaded and compiled aside; then it takes over between two events, or never existed.
///
///     files ─► manifest ─► contexts on their lanes ─► loaded ─► compiled ─► bus.replace ─► the old one drains ─► unload
///                └────────────────┴─────────────────────┴──────────┴─ failed: the old one never stopped serving
extension PluginHost {
    /// Takes what the watcher found.
    func take(_ change: FolderWatcher.Change) {
        guard phase == .running else { return }
        if change.finding != .absent { bus.stay(plugin: change.name) }
        switch change.finding {
        case .plugin(let source): changed(source, began: change.noticed)
        case .refused(let error): refuse(plugin(named: change.name), error, waiting: [])
        case .absent: if plugins[change.name] != nil { unload(change.name, keptFor: configuration.absence) }
        }
    }

    /// New files are a new chance: they lift a quarantine. A plugin that was switched off by hand stays off.
    private func changed(_ source: PluginSource, began: UInt64) {
        let plugin = plugin(named: source.name)
        plugin.latest = source
        switch plugin.standing {
        case .disabled: return
        case .quarantined: plugin.standing = .active
        case .active: break
        }
        plugin.strikes.forgive()
        request(plugin, LoadRequest(source: source, cause: .change, began: began))
    }

    func plugin(named name: String) -> Plugin {
        if let plugin = plugins[name] { return plugin }
        let plugin = Plugin(name: name)
        plugins[name] = plugin
        return plugin
    }

    // MARK: One load at a time

    /// Loads a plugin, now or when the load that is under way is over. Of several wishes that wait only the last counts; all who wait hear its end.
    func request(_ plugin: Plugin, _ request: LoadRequest) {
        guard plugin.loading != nil else { return begin(plugin, request) }
        var request = request
        request.waiting += plugin.next?.waiting ?? []
        plugin.next = request
    }

    private func begin(_ plugin: Plugin, _ request: LoadRequest) {
        do throws(PluginError) {
            let version = PluginVersion(plugin: plugin, source: request.source, manifest: try manifest(of: request.source, plugin))
            let load = PluginLoad(request: request, version: version, isCheck: false) { [unowned self] load, result in finish(load, result)
            }
            plugin.loading = load
            loadCount += 1
            try send(load)
        } catch {
            if let load = plugin.loading { return load.fail(error) }
            refuse(plugin, error, waiting: request.waiting)
            loadIsOver(plugin)
        }
    }

    private func manifest(of source: PluginSource, _ plugin: Plugin) throws(PluginError) -> Manifest {
        guard let text = source.manifest else { return Manifest() }
        if let known = plugin.manifest, known.text == text { return known.manifest }
        let manifest = try Manifest.parse(text, plugin: source.name, file: source.shownPath(of: "plugin.toml"))
        plugin.manifest = (text, manifest)
        return manifest
    }

    /// Asks the lanes for the contexts of a version.
    func send(_ load: PluginLoad) throws(PluginError) {
        let version = load.version
        version.load = load
        load.deadline = bus.owner.timer(after: configuration.load) { [unowned self, weak load] in
            let isRunning = version.contexts.contains { context in
                guard !context.lane.hasEnded else { return false }
                let reading = context.lane.page.read()
                return reading.isRunning && reading.context == UInt64(context.number)
            }
            load?.fail(
                PluginError(
                    .timeout, plugin: version.plugin.name, file: version.source.shownPath(of: "main.lua"),
                    message: "loading did not end within \(DurationText.format(configuration.load))",
                    hint: isRunning
                        ? "it was still running: do less outside of handlers"
                        : "its lane was busy with other plugins, or the machine with other things: save the file again"))
        }
        let header = LoadHeader(version, isCheck: load.isCheck).json
        let files = version.source.files.map { (path: $0.path, bytes: $0.bytes) }
        for lane in try place(version.plugin, count: version.manifest.contexts) {
            lastContextNumber += 1
            let context = PluginContext(number: lastContextNumber, lane: lane, version: version)
            version.add(context)
            lane.contexts[context.number] = context
            lane.send { frames in
                header.withUnsafeBytes { frames.appendLoad(context: context.number, header: $0, files: files) }
            }
        }
    }

    // MARK: The switch

    private func finish(_ load: PluginLoad, _ result: Result<[SubscriptionSpec], PluginError>) {
        let plugin = load.version.plugin
        if let deadline = load.deadline { bus.owner.cancel(deadline) }
        plugin.loading = nil
        loadCount -= 1
        switch result {
        case .success(let specs): takeOver(load, specs)
        case .failure(let error): giveUp(load, error)
        }
        loadIsOver(plugin)
    }

    private func takeOver(_ load: PluginLoad, _ specs: [SubscriptionSpec]) {
        let (version, plugin) = (load.version, load.version.plugin)
        for context in version.contexts { context.phase = .serving }
        do throws(SubscribeError) {
            let specs = configuration.rehearses ? specs.compactMap(\.rehearsed) : specs
            try bus.replace(plugin: plugin.name, specs: specs, endpoint: version)
        } catch {
            return giveUp(
                load,
                PluginError(.badDeclaration, plugin: plugin.name, file: version.source.shownPath(of: "main.lua"), message: error.message))
        }
        let old = plugin.serving
        let isSameCode = old?.source == version.source
        if !isSameCode || load.request.cause == .asked || plugin.versionCount == 0 { plugin.versionCount += 1 }
        version.number = plugin.versionCount
        plugin.serving = version
        plugin.since = bus.owner.clock.now()
        plugin.failure = nil
        plugin.failedRestartCount = 0
        let draining = old?.flightCount ?? 0
        if let old { drain(old) }
        let took = Double(monotonicNanoseconds() - load.request.began) / 1e6
        switch load.request.cause {
        case .restart, .move: tell(.restarted(milliseconds: took), about: plugin.name)
        case .change, .asked:
            let kind: PluginNotice.Kind =
                old == nil
                ? .loaded(version: version.number, milliseconds: took)
                : .reloaded(version: version.number, milliseconds: took, draining: draining)
            tell(kind, about: plugin.name)
        }
        for waiting in load.request.waiting { waiting(.success(())) }
    }

    private func giveUp(_ load: PluginLoad, _ error: PluginError) {
        release(load.version)
        let plugin = load.version.plugin
        refuse(plugin, error, waiting: load.request.waiting)
        guard case .active = plugin.standing, plugin.next == nil, plugins[plugin.name] === plugin else { return }
        if let serving = plugin.serving {
            if serving.contexts.isEmpty { restartLater(plugin, serving.source) }
        } else if error.code == .laneDied {
            restartLater(plugin, load.request.source)  // it was on a lane that somebody broke
        }
    }

    /// Tells a failure; whatever serves goes on serving.
    func refuse(_ plugin: Plugin, _ error: PluginError, waiting: [(Result<Void, PluginError>) -> Void]) {
        plugin.failure = error
        tell(.failed(error, serving: plugin.serving?.number), about: plugin.name)
        for waiting in waiting { waiting(.failure(error)) }
    }

    private func loadIsOver(_ plugin: Plugin) {
        if let next = plugin.next, phase == .running {
            plugin.next = nil
            return begin(plugin, next)
        }
        endEmptyLanes()
        guard !idleWaiters.isEmpty, loadCount == 0 else { return }
        let waiters = idleWaiters
        idleWaiters = []
        for waiter in waiters { waiter() }
    }

    /// Calls back when no plugin is loading.
    func whenIdle(_ body: @escaping () -> Void) {
        if loadCount == 0 { body() } else { idleWaiters.append(body) }
    }

    // MARK: Restarts

    /// A context is gone with its lane, or was given up by it: the plugin is loaded again, whole.
    func contextIsGone(_ context: PluginContext, because end: LaneEnd) {
        let (version, plugin) = (context.version, context.version.plugin)
        if let load = version.load, plugin.loading === load, end == .yielded, !load.isCheck {
            // It held a lane on which others waited: once more, on one of its own.
            abandonLoad(of: plugin)
            return request(plugin, load.request)
        }
        if let load = version.load, plugin.loading === load || load.isCheck {
            load.fail(
                PluginError(
                    .laneDied, plugin: plugin.name, file: version.source.shownPath(of: "main.lua"),
                    message: "\(end) while the plugin was loaded"))
            return
        }
        guard case .active = plugin.standing, plugin.serving === version, plugin.loading == nil else { return }
        request(plugin, LoadRequest(source: version.source, cause: .restart, began: monotonicNanoseconds()))
    }

    /// Tries again, at growing distances up to 5 s.
    private func restartLater(_ plugin: Plugin, _ source: PluginSource) {
        plugin.failedRestartCount += 1
        let delay = min(.milliseconds(50) * (1 << min(plugin.failedRestartCount, 7)), .seconds(5))
        _ = bus.owner.timer(after: delay) { [weak self, weak plugin] in
            guard let self, let plugin, phase == .running, plugins[plugin.name] === plugin, plugin.loading == nil,
                case .active = plugin.standing
            else { return }
            guard plugin.serving?.contexts.isEmpty ?? true else { return }
            request(plugin, LoadRequest(source: source, cause: .restart, began: monotonicNanoseconds()))
        }
    }
}

extension SubscriptionSpec {
    /// The same with one attempt for each event; nil for what doesn't come from events.
    fileprivate var rehearsed: SubscriptionSpec? {
        guard case .events = trigger else { return nil }
        var spec = self
        spec.policy.retry.attempts = 1
        return spec
    }
}

/// The header of a `load` frame.
private struct LoadHeader {
    let json: JSON

    init(_ version: PluginVersion, isCheck: Bool) {
        let manifest = version.manifest
        var header = JSONObject()
        header["plugin"] = .string(version.plugin.name)
        header["memory_bytes"] = .integer(Int64(manifest.limits.memoryBytes))
        header["cpu_us"] = .integer(Int64(manifest.limits.cpu.nanoseconds / 1_000))
        header["config"] = manifest.config.value
        header["emit"] = manifest.permissions.emit.map { .array($0.map { .string($0.text) }) }
        header["sources"] = .array(([version.plugin.eventSource] + manifest.permissions.sources).map { .string($0) })
        header["main"] = version.source.isFolder ? nil : .string(version.source.shownPath(of: "main.lua"))
        header["subscribe"] = manifest.permissions.subscribe.map { .array($0.map { .string($0.text) }) }
        header["check"] = .boolean(isCheck)
        json = JSON(.object(header))
    }
}

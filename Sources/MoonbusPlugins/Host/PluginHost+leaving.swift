import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusLane

/// How versions and plugins go: drained, unloaded, switched off, secluded, quarantined.
extension PluginHost {
    /// Lets a version finish what it has, up to the configured time, and then takes its contexts off their lanes.
    func drain(_ version: PluginVersion) {
        version.isDraining = true
        // Sources that run for ever end when they are told to; their successor begins where they committed last.
        // (Only those with flights are looked at: a lane with many plugins has many flights to look through.)
        for context in version.contexts where context.flightCount > 0 && !version.endless.isEmpty {
            context.lane.cancel(reason: "the plugin is replaced") { $0.isEndless && $0.context === context }
        }
        if version.flightCount == 0 { return retire(version) }
        // Weak: a version that is done earlier goes, with its sources, and does not wait for this.
        _ = bus.owner.timer(after: configuration.drain) { [weak self, weak version] in
            if let version { self?.retire(version) }
        }
    }

    /// Takes a drained version's contexts off their lanes. What it still has is due again, at its successor.
    func retire(_ version: PluginVersion) {
        guard !version.contexts.isEmpty else { return }
        release(version)
        endEmptyLanes()
    }

    /// Unloads the contexts of a version that serves no more, or never did.
    func release(_ version: PluginVersion) {
        var interrupted: [Outcome] = []
        for context in version.contexts {
            let lane = context.lane
            context.phase = .leaving
            lane.send { $0.appendUnload(context: context.number) }
            if context.flightCount > 0 {
                interrupted += lane.giveUp { $0.context === context }.map { Outcome(delivery: $0, .interrupted) }
            }
            lane.contexts[context.number] = nil
            version.remove(context)
        }
        if !interrupted.isEmpty { bus.settle(interrupted) }
    }

    // MARK: Plugins

    /// Removes a plugin; its state stays in the journal.
    ///
    /// - Parameter limit: how long its subscriptions keep what they are owed; nil: it is forgotten.
    func unload(_ name: String, keptFor limit: Duration?) {
        guard let plugin = plugins.removeValue(forKey: name) else { return }
        let waiting = (plugin.next?.waiting ?? []) + (plugin.loading?.request.waiting ?? [])
        plugin.next = nil
        abandonLoad(of: plugin)
        if let limit { bus.depart(plugin: name, keptFor: limit) } else { bus.remove(plugin: name) }
        if let serving = plugin.serving { drain(serving) }
        plugin.serving = nil
        tell(.unloaded(keptFor: limit), about: name)
        for waiting in waiting { waiting(.failure(PluginError(.notFound, plugin: name, message: "the plugin was unloaded"))) }
    }

    /// Switches a plugin off; what it is owed waits in the journal for `enable`.
    func disable(_ plugin: Plugin) {
        plugin.standing = .disabled
        stopServing(plugin)
        tell(.disabled, about: plugin.name)
    }

    func stopServing(_ plugin: Plugin) {
        plugin.next = nil
        abandonLoad(of: plugin)
        bus.suspend(plugin: plugin.name)
        if let serving = plugin.serving { drain(serving) }
    }

    func abandonLoad(of plugin: Plugin) {
        guard let load = plugin.loading else { return }
        if let deadline = load.deadline { bus.owner.cancel(deadline) }
        load.abandon()
        plugin.loading = nil
        loadCount -= 1
        release(load.version)
    }

    // MARK: Breakers of lanes

    /// Notes that a plugin broke its lane: from now on it has one of its own, and at one strike too many it is not run any more.
    func strike(_ plugin: Plugin, because end: LaneEnd, doing what: String) {
        let now = Duration.nanoseconds(Int64(monotonicNanoseconds()))
        let isOut = plugin.strikes.add(at: now, rule: .init(count: configuration.strikes, within: configuration.strikesWithin))
        seclude(plugin, because: "\(end) \(what)")
        guard isOut else { return }
        let error = PluginError(
            .quarantined, plugin: plugin.name, file: (plugin.serving?.source ?? plugin.latest)?.shownPath(of: "main.lua"),
            message: "\(end) \(what), \(plugin.strikes.count) times within \(DurationText.format(configuration.strikesWithin))",
            hint: "its events wait; a new version of its files, or 'enable', lets it run again")
        plugin.standing = .quarantined(error)
        plugin.failure = error
        let waiting = (plugin.next?.waiting ?? []) + (plugin.loading?.request.waiting ?? [])
        stopServing(plugin)
        tell(.quarantined(error), about: plugin.name)
        for waiting in waiting { waiting(.failure(error)) }
    }

    func seclude(_ plugin: Plugin, because reason: String) {
        guard !plugin.isSecluded else { return }
        plugin.isSecluded = true
        tell(.secluded(reason: reason), about: plugin.name)
    }

    /// A handler ran up to its CPU limit: that long, nobody else on its lane was served. Once is enough: from now on only itself waits for it.
    func hogged(_ plugin: Plugin, _ status: OutcomeStatus) {
        guard !plugin.isSecluded, case .active = plugin.standing, let serving = plugin.serving else { return }
        let others = serving.contexts.contains { $0.lane.contexts.count > 1 }
        guard others else { return }
        seclude(plugin, because: status == .killed ? "a handler had to be cut at its CPU limit" : "a handler ran up to its CPU limit")
        request(plugin, LoadRequest(source: serving.source, cause: .move, began: monotonicNanoseconds()))
    }

    // MARK: State

    /// Makes contexts forget copies that are wrong.
    ///
    /// A plugin's only context has made every commit itself, and has heard of each before us.
    func take(_ news: StateNews, of name: String) {
        guard let version = plugins[name]?.serving else { return }
        switch news {
        case .refuted(let copies):
            for copy in copies { forget(copy.key, .version(copy.version), in: version) }
        case .committed(let writes):
            if version.contexts.count > 1 { forgetOthers(than: writes, in: version) }
        case .edited(let writes): forgetOthers(than: writes, in: version)
        }
    }

    private func forgetOthers(than writes: [StateWrite], in version: PluginVersion) {
        var last: [String: UInt64] = [:]
        for write in writes { last[write.key] = write.version }
        for (key, written) in last { forget(key, .othersThan(written), in: version) }
    }

    private func forget(_ key: String, _ forgetting: KvForgetting, in version: PluginVersion) {
        for context in version.contexts {
            context.lane.send { $0.appendForget(context: context.number, key: key, forgetting) }
        }
    }
}

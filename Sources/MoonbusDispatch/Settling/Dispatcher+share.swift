internal import MoonbusEvents
internal import MoonbusJournal

/// Outcomes that the journal did not commit, because their plugin would hold more than its share.
extension Dispatcher {
    /// A run that wanted too much has failed: it is tried again by its policy, since there may be room by then.
    func refuse(_ ending: SettlingBatch.Ending, _ excess: ShareExcess) {
        let slot = ending.slot
        guard let queue = queues[Int(owed[slot].pointee.queue)] else { return }
        if let state = ending.detail?.staged?.commit.state, !state.writes.isEmpty {
            // Its lane has taken them for written already.
            let untrue = state.writes.map { StateRead(key: $0.key, version: $0.version) }
            stateChanged?(queue.spec.plugin, .refuted(untrue))
        }
        let fault = Fault(.full, excess.message(plugin: queue.spec.plugin))
        if ending.kind == .checkpoint { return cancel(slot, reason: fault.message) }
        let batch = takeBatch()
        settleFailed(slot, fault, batch)
        commit(batch)
    }
}

extension ShareExcess {
    /// The limit, the plugin's use, and the remedy.
    fileprivate func message(plugin: String) -> String {
        switch kind {
        case .state:
            "plugin '\(plugin)' stores \(Self.amount(held)) and would store \(Self.amount(wanted)), its limit is \(Self.amount(limit)) "
                + "(limits.state): let it delete keys or give them a ttl, or raise the limit in its plugin.toml"
        case .delayed:
            "\(held) events of plugin '\(plugin)' wait for their time and it would be \(wanted), the limit for one plugin is \(limit): "
                + "emit fewer with a delay"
        case .delayedSize:
            "events of plugin '\(plugin)' that wait for their time have \(Self.amount(held)) and would have \(Self.amount(wanted)), the limit for "
                + "one plugin is \(Self.amount(limit)): emit fewer or smaller ones with a delay"
        }
    }

    /// As in plugin.toml: units are powers of 1,024.
    private static func amount(_ bytes: Int) -> String {
        var (amount, unit) = (Double(bytes), "bytes")
        for larger in ["KB", "MB", "GB", "TB"] where amount >= 1_024 { (amount, unit) = (amount / 1_024, larger) }
        guard unit != "bytes" else { return "\(bytes) bytes" }
        let tenths = Int((amount * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) \(unit)"
    }
}

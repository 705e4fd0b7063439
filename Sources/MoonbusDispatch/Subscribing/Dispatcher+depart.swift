internal import Logging
internal import MoonbusEvents

/// Plugins whose files are gone. An editor, a checkout or a slow copy may bring them back in a moment, and what they are owed was recorded:
/// so they are suspended for a while, and removed when they stay away.
extension Dispatcher {
    /// Suspends a plugin, and removes it unless it is back within `limit`.
    func depart(plugin: String, keptFor limit: Duration) {
        guard byPlugin[plugin] != nil else { return }
        suspend(plugin: plugin)
        stay(plugin: plugin)
        departed[plugin] = owner.timer(after: limit) { [unowned self] in
            forgetDeparted(plugin, because: "did not come back within \(DurationText.format(limit))")
        }
    }

    /// It is back, or gone for good.
    func stay(plugin: String) {
        if let timer = departed.removeValue(forKey: plugin) { owner.cancel(timer) }
    }

    /// Removes all that are away: the journal is full, and theirs is what is missed least.
    func forgetDeparted() {
        for plugin in departed.keys.sorted() { forgetDeparted(plugin, because: "was away when the journal was full") }
    }

    private func forgetDeparted(_ plugin: String, because reason: String) {
        let queues = byPlugin[plugin] ?? []
        let waiting = queues.reduce(0) { $0 + $1.count }
        let since = lastPosition - (queues.compactMap(\.backlog?.read).min() ?? lastPosition)
        if waiting == 0, since == 0 {
            logger.notice("plugin '\(plugin)' \(reason): its subscriptions are retired; they were owed nothing")
        } else {
            logger.warning(
                "plugin '\(plugin)' \(reason): its subscriptions are retired; not handled are \(waiting) deliveries, and what is theirs of \(since) events since"
            )
        }
        remove(plugin: plugin)
    }
}

internal import Logging
internal import MoonbusEvents

/// Events that a filter was too dear for.
extension Dispatcher {
    /// Says that a subscription is owed an event because its filter could not be tested: the first time, and then each thousandth.
    func noteUntested(_ event: Event, of index: UInt32) {
        guard let queue = queues[Int(index)] else { return }
        queue.untestedCount += 1
        guard queue.untestedCount % 1_000 == 1 else { return }
        logger.warning(
            """
            '\(queue.name)' gets '\(event.type)' untested: the filters of '\(queue.spec.plugin)' may take \(FilterShare.stepsMax) steps in a turn, \
            and more were needed (docs/settings.md, where). Its handler gets events that 'where' would have kept away: ask for less, above all \
            less of "$or" over long arrays, or send smaller events
            """,
            metadata: ["untested": "\(queue.untestedCount)", "bytes": "\(event.recordSize)"])
    }
}

import MoonbusDispatch
import MoonbusJournal
import MoonbusPlugins
import NIOCore

extension Routes {
    /// `GET /health/ready`: 200 when events are taken and every plugin that can serve does; 503 with who keeps it from being ready:
    /// a plugin that is being loaded, or a journal that is full or can't write.
    ///
    /// A plugin that is broken (failed, quarantined) or switched off does not make the service unready: nothing would change by
    /// waiting, and the others serve. It is named all the same.
    func ready(_ exchange: Exchange) {
        let (bus, plugins) = (self.bus, self.plugins)
        later(exchange) { () throws(Problem) in
            if let trouble = await bus.journalTrouble() { throw Problem(trouble) }
            let statuses = await plugins?.plugins() ?? []
            let culprits = statuses.filter { $0.state == .loading || $0.state == .restarting }
            guard culprits.isEmpty else {
                let names = culprits.map { "\($0.name) is \($0.state.name)" }.joined(separator: ", ")
                var problem = Problem(.unavailable, "not ready: \(names)", remedy: "ask again in a moment")
                problem.retryAfter = 1
                throw problem
            }
            var object = ObjectWriter()
            object.member("status", "ready")
            object.member("plugins", statuses.count)
            object.member("broken", statuses.filter { $0.state == .failed || $0.state == .quarantined }.map(\.name))
            return Answer(body: object.finish())
        }
    }

    /// `GET /statistics`.
    func statistics(_ exchange: Exchange) {
        let bus = self.bus
        later(exchange) { () throws(Problem) in
            let statistics = await bus.statistics()
            let answer = try await journal { () throws(JournalError) in try await bus.ask(.measures) }
            guard case .measures(let measures) = answer else { preconditionFailure("a journal answers what it was asked") }
            var object = statistics.json
            object.member("journal") { $0.write(measures) }
            return Answer(body: object.finish())
        }
    }
}

extension BusStatistics {
    fileprivate var json: ObjectWriter {
        var object = ObjectWriter()
        object.member("emitted", emitted)
        object.member("recorded", recorded)
        object.member("ephemeral", ephemeral)
        object.member("lost", lost)
        object.member("duplicates", duplicates)
        object.member("refused", refused)
        object.member("unmatched", unmatched)
        object.member("unmatched_types") {
            $0.writeArray(unmatchedTypes) { buffer, entry in
                var object = ObjectWriter()
                object.member("type", entry.type)
                object.member("count", entry.count)
                var bytes = object.finish()
                buffer.writeBuffer(&bytes)
            }
        }
        object.member("delivered", delivered)
        object.member("settled", settled)
        object.member("retried", retried)
        object.member("dead", dead)
        object.member("shed", shed)
        object.member("delayed", delayed)
        object.member("waiting_batches", waitingBatches)
        object.member("subscriptions") { $0.writeArray(subscriptions) { $0.writeSubscription($1) } }
        return object
    }
}

extension ByteBuffer {
    fileprivate mutating func write(_ measures: JournalMeasures) {
        var object = ObjectWriter()
        object.member("events", measures.eventCount)
        object.member("bytes", measures.size)
        object.member("delayed", measures.delayedCount)
        object.member("dead", measures.deadLetterCount)
        object.member("commits", measures.commitCount)
        var bytes = object.finish()
        writeBuffer(&bytes)
    }

    fileprivate mutating func writeSubscription(_ subscription: BusStatistics.Subscription) {
        var object = ObjectWriter()
        object.member("name", subscription.name)
        object.member("plugin", subscription.plugin)
        object.member("queued", subscription.queued)
        object.member("in_flight", subscription.inFlight)
        object.member("unread", subscription.unread)
        object.member("done", subscription.done)
        object.member("retried", subscription.retried)
        object.member("dead", subscription.dead)
        object.member("shed", subscription.shed)
        var bytes = object.finish()
        writeBuffer(&bytes)
    }
}

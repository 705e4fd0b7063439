import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import NIOCore

extension Routes {
    /// `GET /events`: `{"events":[{"position","event"}],"next"}`, in the order of the log.
    ///
    /// With `"cut":true` when there were too many events to look at: then `next` is where to go on behind `?after=`, and for a search from the
    /// end `"before"` is what to give as `?before=`.
    func listEvents(_ search: EventSearch, _ exchange: Exchange) {
        let bus = self.bus
        later(exchange) { () throws(Problem) in
            let found = try await journal { () throws(JournalError) in
                try await search.run { question throws(JournalError) in try await bus.ask(question) }
            }
            var object = ObjectWriter()
            object.member("events") { $0.writeArray(found.events) { $0.write(RecordJSON.event($1)) } }
            object.member("next", found.next)
            if found.isCut { object.member("cut", true) }
            if let before = found.before { object.member("before", before) }
            return Answer(body: object.finish())
        }
    }

    /// `GET /events/{id}`: the newest event with this id.
    func showEvent(_ id: String, _ exchange: Exchange) {
        let bus = self.bus
        later(exchange) { () throws(Problem) in
            let found = try await journal { () throws(JournalError) in
                try await bus.ask(.event(id: id))
            }
            guard case .events(let events) = found, let event = events.first else {
                throw Problem(
                    .notFound, "there is no event with the id '\(id.prefix(100))'",
                    remedy: "GET /events lists the newest; what nobody is owed any more is forgotten after a while")
            }
            return Answer(body: RecordJSON.event(event))
        }
    }
}

/// Asks the journal; what it can't answer is a problem.
func journal<Value: Sendable>(_ ask: () async throws(JournalError) -> Value) async throws(Problem) -> Value {
    do throws(JournalError) {
        return try await ask()
    } catch {
        throw Problem(error)
    }
}

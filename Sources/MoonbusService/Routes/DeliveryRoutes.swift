import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import NIOCore

extension Routes {
    /// `GET /deliveries?state=dead`: newest first.
    func listDeadLetters(_ limit: Int, _ exchange: Exchange) {
        let bus = self.bus
        later(exchange) { () throws(Problem) in
            let letters = try await journal { () throws(JournalError) in try await bus.deadLetters(limit: limit) }
            var body = ByteBuffer()
            body.writeArray(letters) { $0.write(RecordJSON.letter($1)) }
            return Answer(body: body)
        }
    }

    /// `GET /deliveries/{id}`: one dead letter.
    func showDeadLetter(_ text: String, _ exchange: Exchange) {
        guard let id = UInt64(text) else { return exchange.answer(noLetter(text)) }
        let bus = self.bus
        later(exchange) { () throws(Problem) in
            let letter = try await journal { () throws(JournalError) in try await bus.deadLetter(id) }
            guard let letter else { throw noLetter(text) }
            return Answer(body: RecordJSON.letter(letter))
        }
    }

    /// `POST /deliveries/{id}/retry`: 202, the letter is a delivery again. A body is the event's data from now on.
    func retry(_ text: String, _ body: ByteBuffer, _ exchange: Exchange) {
        guard let id = UInt64(text) else { return exchange.answer(noLetter(text)) }
        let data: JSON?
        do throws(Problem) {
            data = try json(body)
        } catch {
            return exchange.answer(error)
        }
        let bus = self.bus
        change(text, "due", exchange) { () throws(JournalError) in try await bus.retry(deadLetter: id, data: data) }
    }

    /// `DELETE /deliveries/{id}`: the letter is gone, its event is owed to nobody any more.
    func drop(_ text: String, _ exchange: Exchange) {
        guard let id = UInt64(text) else { return exchange.answer(noLetter(text)) }
        let bus = self.bus
        change(text, "dropped", exchange) { () throws(JournalError) in try await bus.drop(deadLetter: id) }
    }

    private func change(
        _ id: String, _ state: String, _ exchange: Exchange, _ work: @escaping @Sendable () async throws(JournalError) -> Void
    ) {
        later(exchange) { () throws(Problem) in
            do throws(JournalError) {
                try await work()
            } catch {
                switch error.code {
                case .notFound: throw noLetter(id)
                case .notServed: throw Problem(.conflict, error.message, remedy: "GET /plugins says what runs")
                default: throw Problem(error)
                }
            }
            return Answer(status: state == "due" ? .accepted : .ok, body: ByteBuffer(string: #"{"id":\#(id),"state":"\#(state)"}"#))
        }
    }
}

private func noLetter(_ id: String) -> Problem {
    Problem(.notFound, "there is no dead letter '\(id.prefix(100))'", remedy: "GET /deliveries?state=dead lists them")
}

/// A body that is JSON; nil when it is empty.
func json(_ body: ByteBuffer) throws(Problem) -> JSON? {
    if body.readableBytes == 0 { return nil }
    let result = body.withUnsafeReadableBytes { bytes in Result { () throws(EventError) in try JSON(validating: bytes) } }
    switch result {
    case .success(let json): return json
    case .failure(let error): throw Problem(error)
    }
}

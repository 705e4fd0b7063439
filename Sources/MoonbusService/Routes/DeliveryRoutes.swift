import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import NIOCore

extension Routes {
    /// `GET /deliveries?state=dead`: newest first.
    func listDeadLetters(_ limit: Int, _ exchange: Exchange) {
        let bus = self.bus
        later(exchange) { () throws(Problem) in
            do throws(JournalError) {
                var body = ByteBuffer()
                body.writeArray(try await bus.deadLetters(limit: limit)) { $0.writeLetter($1) }
                return Answer(body: body)
            } catch {
                throw Problem(error)
            }
        }
    }

    /// `POST /deliveries/{id}/retry`: 202, the letter is a delivery again.
    func retry(_ text: String, _ exchange: Exchange) {
        guard let id = UInt64(text) else { return exchange.answer(noLetter(text)) }
        let bus = self.bus
        later(exchange) { () throws(Problem) in
            do throws(JournalError) {
                try await bus.retry(deadLetter: id)
            } catch {
                throw error.code == .notFound ? noLetter(text) : Problem(error)
            }
            return Answer(status: .accepted, body: ByteBuffer(string: #"{"id":\#(id),"state":"due"}"#))
        }
    }
}

private func noLetter(_ id: String) -> Problem {
    Problem(.notFound, "there is no dead letter '\(id.prefix(100))'", remedy: "GET /deliveries?state=dead lists them")
}

extension ByteBuffer {
    fileprivate mutating func writeLetter(_ letter: DeadLetter) {
        var object = ObjectWriter()
        object.member("id", letter.id)
        object.member("subscription", letter.subscription)
        object.member("state", "dead")
        object.member("died", letter.died.description)
        object.member("attempts", letter.failures.last?.attempt)
        object.member("failures") {
            $0.writeArray(letter.failures) { buffer, failure in
                var object = ObjectWriter()
                object.member("attempt", failure.attempt)
                object.member("time", failure.time.description)
                object.member("error") { $0.writeFault(failure.fault) }
                var bytes = object.finish()
                buffer.writeBuffer(&bytes)
            }
        }
        object.member("position", letter.position)
        object.member("event") { _ = $0.writeBytes(CloudEvent.encode(letter.event)) }
        var bytes = object.finish()
        writeBuffer(&bytes)
    }
}

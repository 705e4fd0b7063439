import MoonbusDispatch
import MoonbusEvents
import NIOCore

extension Routes {
    /// `POST /plugins/{name}/replays`: 202, the replay has begun and goes on, over restarts, until its last event has ended.
    func beginReplay(_ plugin: String, _ body: ByteBuffer, _ exchange: Exchange) {
        let order: ReplayOrder
        do throws(Problem) {
            order = try ReplayOrder(plugin: plugin, body: try json(body))
        } catch {
            return exchange.answer(error)
        }
        answer(exchange, .accepted) { bus throws(ReplayError) in .replay(try await bus.beginReplay(order)) }
    }

    /// `GET /plugins/{name}/replays`: the open ones.
    func listReplays(_ plugin: String, _ exchange: Exchange) {
        answer(exchange) { bus throws(ReplayError) in
            .replays(try await bus.replays(of: plugin).filter { $0.state == .running || $0.state == .waiting })
        }
    }

    /// `GET /plugins/{name}/replays/{number}`: an open one, or one that ended lately.
    func showReplay(_ plugin: String, _ number: String, _ exchange: Exchange) {
        guard let known = UInt32(number) else { return exchange.answer(noReplay(plugin, number)) }
        let bus = self.bus
        later(exchange) { () throws(Problem) in
            let statuses: [ReplayStatus]
            do throws(ReplayError) { statuses = try await bus.replays(of: plugin) } catch { throw Problem(error) }
            guard let status = statuses.first(where: { $0.number == known }) else { throw noReplay(plugin, number) }
            return Answer(body: .replay(status))
        }
    }

    /// `DELETE /plugins/{name}/replays/{number}`: what runs may finish, the rest is owed no more.
    func stopReplay(_ plugin: String, _ number: String, _ exchange: Exchange) {
        guard let known = UInt32(number) else { return exchange.answer(noReplay(plugin, number)) }
        answer(exchange) { bus throws(ReplayError) in .replay(try await bus.stopReplay(plugin: plugin, number: known)) }
    }

    private func answer(
        _ exchange: Exchange, _ status: Response.Status = .ok,
        _ work: @escaping @Sendable (EventBus) async throws(ReplayError) -> ByteBuffer
    ) {
        let bus = self.bus
        later(exchange) { () throws(Problem) in
            do throws(ReplayError) {
                return Answer(status: status, body: try await work(bus))
            } catch {
                throw Problem(error)
            }
        }
    }
}

private func noReplay(_ plugin: String, _ number: String) -> Problem {
    Problem(
        .notFound, "plugin '\(plugin.prefix(100))' has no replay '\(number.prefix(100))', or none that ended lately",
        remedy: "GET /plugins/\(plugin.prefix(100))/replays lists the open ones")
}

extension ReplayOrder {
    /// Reads `{"type","from","to"}`. The type must be said: nobody replays everything by leaving something out.
    fileprivate init(plugin: String, body: JSON?) throws(Problem) {
        let example = #"send {"type": "orders.>", "from": "1h"}; > is every type"#
        guard let object = body?.value.object else { throw Problem(.badReplay, "the body is no JSON object", remedy: example) }
        if let stranger = object.keys.first(where: { !["type", "from", "to"].contains($0) }) {
            throw Problem(.badReplay, "'\(stranger.prefix(100))' says nothing about a replay", remedy: example)
        }
        guard let type = object["type"]?.string else { throw Problem(.badReplay, "'type' is not there, or no text", remedy: example) }
        do throws(EventError) {
            self.init(plugin: plugin, pattern: try EventPattern(type))
        } catch {
            throw Problem(.badReplay, "type: \(error.message)", remedy: "use a pattern like orders.* or orders.>")
        }
        from = try Self.time("from", object)
        to = try Self.time("to", object)
        if let from, let to, from > to {
            throw Problem(.badReplay, "from (\(from)) is after to (\(to)): nothing happened between them", remedy: "swap them")
        }
    }

    private static func time(_ name: String, _ object: JSONObject) throws(Problem) -> Timestamp? {
        guard let value = object[name] else { return nil }
        guard let time = value.string.flatMap(Query.time) else {
            throw Problem(.badReplay, "\(name): \(JSON(value).text.prefix(100)) is no time", remedy: Query.timeRemedy)
        }
        return time
    }
}

extension Problem {
    fileprivate init(_ error: ReplayError) {
        switch error.code {
        case .noPlugin: self.init(.notFound, error.message, remedy: "GET /plugins lists the plugins")
        case .noEvents: self.init(.notFound, error.message, remedy: "GET /events shows what is recorded")
        case .noReplay: self.init(.notFound, error.message)
        case .notServed: self.init(.conflict, error.message, remedy: "GET /plugins says what runs")
        case .full:
            self.init(.full, error.message)
            retryAfter = 1
        case .journal:
            self.init(.unavailable, error.message)
            retryAfter = 1
        }
    }
}

extension ByteBuffer {
    fileprivate static func replay(_ status: ReplayStatus) -> ByteBuffer {
        var body = ByteBuffer()
        body.writeReplay(status)
        return body
    }

    fileprivate static func replays(_ statuses: [ReplayStatus]) -> ByteBuffer {
        var body = ByteBuffer()
        body.writeArray(statuses) { $0.writeReplay($1) }
        return body
    }

    private mutating func writeReplay(_ status: ReplayStatus) {
        var object = ObjectWriter()
        object.member("number", status.number)
        object.member("plugin", status.order.plugin)
        object.member("type", status.order.pattern.text)
        object.member("from", status.order.from?.description)
        object.member("to", status.order.to?.description)
        object.member("state", status.state.rawValue)
        object.member("reason", status.reason)
        object.member("events", status.count)
        object.member("first", status.first)
        object.member("last", status.last)
        object.member("position", status.position)
        object.member("owed", status.owed)
        object.member("done", status.done)
        object.member("dead", status.dead)
        object.member("subscriptions", status.subscriptions)
        var bytes = object.finish()
        writeBuffer(&bytes)
    }
}

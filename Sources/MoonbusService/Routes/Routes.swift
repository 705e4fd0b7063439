import MoonbusDispatch
import MoonbusPlugins
import NIOCore

/// Hands each request to what answers it.
///
/// A route answers its ``Exchange`` exactly once, now or later, on the owner thread. Routes that ask the bus or the plugin
/// host something rare do it in a `Task`; the emitting of events, of which there may be 100,000 a second, does not.
final class Routes {
    let bus: EventBus
    let plugins: PluginHost?
    let configuration: ServiceConfiguration
    let answers: Answers
    /// Open event streams.
    var streamCount = 0

    init(bus: EventBus, plugins: PluginHost?, configuration: ServiceConfiguration) {
        self.bus = bus
        self.plugins = plugins
        self.configuration = configuration
        answers = Answers(bus.owner)
    }

    /// - Parameter exchange: its `request` is `request`.
    func handle(_ request: Request, _ body: ByteBuffer, _ exchange: Exchange) {
        switch request.route {
        case .emit(let options): emit(request, options, body, exchange)
        case .stream(let pattern): stream(pattern, exchange)
        case .plugins(let name): listPlugins(name, exchange)
        case .plugin(let name, let verb): change(plugin: name, verb, exchange)
        case .beginReplay(let plugin): beginReplay(plugin, body, exchange)
        case .replays(let plugin): listReplays(plugin, exchange)
        case .replay(let plugin, let number): showReplay(plugin, number, exchange)
        case .stopReplay(let plugin, let number): stopReplay(plugin, number, exchange)
        case .deadLetters(let limit): listDeadLetters(limit, exchange)
        case .deadLetter(let id): showDeadLetter(id, exchange)
        case .retry(let id): retry(id, body, exchange)
        case .drop(let id): drop(id, exchange)
        case .events(let search): listEvents(search, exchange)
        case .event(let id): showEvent(id, exchange)
        case .states(let listing): listState(listing, exchange)
        case .state(let target): showState(target, exchange)
        case .write(let target, let lifetime): writeState(target, lifetime, request, body, exchange)
        case .delete(let target): deleteState(target, request, exchange)
        case .statistics: statistics(exchange)
        case .live: exchange.answer(.json(.ok, ByteBuffer(staticString: #"{"status":"live"}"#)))
        case .ready: ready(exchange)
        case .index: exchange.answer(Response(.ok, "text/plain; charset=utf-8", ByteBuffer(string: "Moonbus\n\n\(Route.overview)\n")))
        }
    }

    /// Answers later with what `work` finds out off the owner thread; for what is asked rarely.
    func later(_ exchange: Exchange, _ work: @escaping @Sendable () async throws(Problem) -> Answer) {
        let answers = self.answers
        Task {
            do throws(Problem) {
                let answer = try await work()
                answers.post(exchange) { $0.answer(answer.response) }
            } catch {
                answers.post(exchange) { [error] in $0.answer(error) }
            }
        }
    }

    /// What a route found out, as JSON.
    struct Answer: Sendable {
        var status = Response.Status.ok
        var body: ByteBuffer
        /// The version of what is shown.
        var etag: UInt64?

        var response: Response {
            var response = Response.json(status, body)
            response.etag = etag
            return response
        }
    }
}

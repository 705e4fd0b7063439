import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusLane

/// A call that a handler waits for, and where its answer goes.
struct LaneCall: Sendable {
    let number: UInt64
    /// The delivery, as the lane knows it.
    let delivery: UInt64
    let context: UInt32
    /// The lane; set when the call is taken.
    var lane = 0
}

/// What the host does on behalf of plugins while their handlers wait: `bus.request`, `time.sleep`, `kv.get`, `kv.scan`.
///
/// | call | answer |
/// |---|---|
/// | `{"name": "request", "type", "data", "timeout_us", "subject", "key"}` | the first handler's result |
/// | `{"name": "sleep", "duration_us"}` | nothing, later |
/// | `{"name": "kv.get", "key"}` | `{"value", "version", "expiry_us"}`, version 0 when absent |
/// | `{"name": "kv.scan", "prefix", "limit"}` | `[{"key", "value", "version"}, …]` |
extension PluginHost {
    private static let timeoutDefault: Duration = .seconds(30)
    private static let sleepMax: Duration = .seconds(86_400)
    private static let scanMax = 10_000
    /// Bytes of a scan's answer.
    private static let scanSizeMax = 16 << 20
    /// The bus has the same bound for events that handlers emit; a request is an event that no outcome carries.
    private static let hopsMax = BusConfiguration().hopsMax

    func take(_ given: LaneCall, _ json: UnsafeRawBufferPointer, from lane: Lane) {
        guard let flight = lane.flights.find(given.delivery), let context = flight.pointee.context, context.number == given.context else {
            return  // given up meanwhile
        }
        guard lane.backlog <= 4 * answersSizeMax else {
            return laneEnded(lane, .broke("it calls on and on and does not read the answers"))
        }
        var call = given
        call.lane = lane.number
        guard context.callCount < PluginContext.callsMax else {
            let error = "busy: \(PluginContext.callsMax) calls of the plugin wait for their answer; make fewer at a time"
            return lane.send { $0.appendReply(call: call.number, error: error) }
        }
        context.callCount += 1
        flight.pointee.callCount += 1
        if flight.pointee.callCount == 1 { context.waitingCount += 1 }
        let delivery = flight.pointee.delivery
        // It holds no CPU while it waits: others may have its place.
        if !context.version.isDraining { bus.endpointHasRoom(context.version) }
        if bus.awaitsRoom(delivery) { hold(call, json, delivery) } else { begin(call, json, delivery, context.version) }
    }

    /// Puts off the call of a source whose events have no room, until they have: so it waits, and what it goes on emitting fills no memory.
    private func hold(_ call: LaneCall, _ json: UnsafeRawBufferPointer, _ delivery: UInt64) {
        let text = [UInt8](json)
        let isHeld = bus.whenRoom(for: delivery, size: text.count) { [weak self] in
            guard let self, let lane = lanes.first(where: { $0.number == call.lane }),
                let context = lane.flights.find(call.delivery)?.pointee.context
            else { return }
            text.withUnsafeBytes { self.begin(call, $0, delivery, context.version) }
        }
        if !isHeld { answer(call, error: "busy: what the plugin's sources have emitted has no room; emit less, and call with less") }
    }

    /// Does what a call asks for.
    private func begin(_ call: LaneCall, _ json: UnsafeRawBufferPointer, _ delivery: UInt64, _ version: PluginVersion) {
        // One level of its own around a request's data.
        guard let arguments = (try? JSON(validating: json, limits: JSONLimits(envelope: 1, bytes: 4 << 20)))?.value else {
            return answer(call, error: "the call is no JSON")
        }
        switch arguments["name"]?.string {
        case "sleep": sleep(call, arguments)
        case "request": request(call, arguments, of: bus.event(of: delivery), version)
        case "kv.get": get(call, arguments, plugin: version.plugin.name)
        case "kv.scan": scan(call, arguments, plugin: version.plugin.name)
        case let name: answer(call, error: "the host knows no call '\(name ?? "")'")
        }
    }

    // MARK: Answers

    /// Answers a call, unless nobody waits for it any more. From any thread.
    private func answerLater(_ call: LaneCall, _ result: Result<JSON?, CallError>) {
        let answer: @Sendable () -> Void = {
            switch result {
            case .success(let value): self.answer(call, value: value)
            case .failure(let error): self.answer(call, error: error.message)
            }
        }
        if bus.owner.isCurrent { answer() } else { bus.owner.post(answer) }
    }

    private func answer(_ call: LaneCall, value: JSON?) {
        guard let lane = waiting(for: call) else { return }
        guard lane.backlog <= answersSizeMax else {
            let error = "too_large: \(lane.backlog >> 20) MiB wait for the plugin's lane already; ask for less at a time"
            return lane.send { $0.appendReply(call: call.number, error: error) }
        }
        let empty = UnsafeRawBufferPointer(start: nil, count: 0)
        lane.send { frames in
            guard let value else { return frames.appendReply(call: call.number, value: empty) }
            value.withUnsafeBytes { frames.appendReply(call: call.number, value: $0) }
        }
    }

    private func answer(_ call: LaneCall, error: String) {
        waiting(for: call)?.send { $0.appendReply(call: call.number, error: error) }
    }

    /// The lane where the call's delivery still waits; takes the call out of the books.
    private func waiting(for call: LaneCall) -> Lane? {
        guard let lane = lanes.first(where: { $0.number == call.lane }), let flight = lane.flights.find(call.delivery) else { return nil }
        flight.pointee.callCount -= 1
        flight.pointee.context?.callCount -= 1
        if flight.pointee.callCount == 0 { flight.pointee.context?.waitingCount -= 1 }
        return lane
    }

    // MARK: The calls

    private func sleep(_ call: LaneCall, _ arguments: JSONValue) {
        let wanted = Duration.microseconds(max(0, arguments["duration_us"]?.integer ?? 0))
        lanes.first { $0.number == call.lane }?.sleep(call, min(wanted, Self.sleepMax)) { [weak self] in self?.answer(call, value: nil) }
    }

    private func request(_ call: LaneCall, _ arguments: JSONValue, of cause: Event?, _ version: PluginVersion) {
        let event: Event
        do throws(EventError) {
            let type = try EventType(arguments["type"]?.string ?? "")
            if let refusal = version.refusal(toEmit: type) { return answer(call, error: "denied: \(refusal)") }
            let hops = (cause?.hops ?? 0) + 1
            guard hops <= Self.hopsMax else {
                return answer(
                    call, error: "loop: '\(type)' would be the \(hops)th event in a row that handlers caused; the limit is \(Self.hopsMax)")
            }
            let trace = cause?.traceparent.flatMap { TraceContext($0) }?.child() ?? TraceContext()
            event = try Event(
                type: type, data: arguments["data"].map { JSON($0) }, source: version.plugin.eventSource,
                subject: arguments["subject"]?.string,
                key: arguments["key"]?.string, traceparent: trace.description, causeid: cause?.id, hops: hops)
        } catch {
            return answer(call, error: error.message)
        }
        let timeout = arguments["timeout_us"]?.integer.map { Duration.microseconds(max(0, $0)) } ?? Self.timeoutDefault
        let clock = bus.owner.clock
        let deadline = clock.monotonic() + timeout
        bus.submit(
            [event],
            settled: { receipts in
                let isLate = clock.monotonic() >= deadline
                self.answerLater(call, Self.reply(receipts, to: event, isLate ? .late(timeout) : .inTime))
            },
            settledBy: .firstResult, settledWithin: timeout,
            recorded: { result in
                if case .failure(let error) = result { self.answerLater(call, .failure(CallError(message: error.description))) }
            })
    }

    private enum Arrival {
        case inTime
        /// After that long, nobody had answered.
        case late(Duration)
    }

    /// The first result among the handlers' answers, or why there is none.
    private static func reply(_ receipts: [Receipt], to event: Event, _ arrival: Arrival) -> Result<JSON?, CallError> {
        guard let receipt = receipts.first else { return .failure(CallError(message: "nobody answered '\(event.typeText)'")) }
        let done = receipt.results.filter { $0.status == .done }
        if let answer = done.first(where: { $0.result != nil }) ?? done.first { return .success(answer.result) }
        if receipt.pending > 0, case .late(let timeout) = arrival {
            return .failure(CallError(message: "timeout: nobody answered '\(event.typeText)' within \(DurationText.format(timeout))"))
        }
        if receipt.pending > 0, receipt.results.isEmpty {
            let text = "nobody answers '\(event.typeText)' now: who takes it is switched off or has not caught up yet, and gets it later"
            return .failure(CallError(message: text))
        }
        guard let failed = receipt.results.first else {
            return .failure(CallError(message: "nobody is subscribed to '\(event.typeText)'"))
        }
        return .failure(
            CallError(
                message: "'\(event.typeText)' was not answered: \(failed.subscription): \(failed.error?.message ?? failed.status.rawValue)")
        )
    }

    private func get(_ call: LaneCall, _ arguments: JSONValue, plugin: String) {
        guard let key = arguments["key"]?.string, (1...512).contains(key.utf8.count) else {
            return answer(call, error: "bad_key: a key has 1 to 512 bytes")
        }
        bus.state(plugin: plugin, key: key) { result in
            switch result {
            case .success(let entry): self.answerLater(call, .success(entry.map(Self.json) ?? JSON(["version": 0])))
            case .failure(let error): self.answerLater(call, .failure(CallError(message: "\(error)")))
            }
        }
    }

    private func scan(_ call: LaneCall, _ arguments: JSONValue, plugin: String) {
        let limit = Int(min(max(1, arguments["limit"]?.integer ?? 1_000), Int64(Self.scanMax)))
        bus.scan(plugin: plugin, prefix: arguments["prefix"]?.string ?? "", limit: limit) { result in
            switch result {
            case .success(let entries):
                guard entries.reduce(0, { $0 + $1.value.byteCount + $1.key.utf8.count }) <= Self.scanSizeMax else {
                    return self.answerLater(
                        call, .failure(CallError(message: "too_large: the values are more than 16 MiB; give a longer prefix or a limit")))
                }
                self.answerLater(call, .success(Self.json(entries)))
            case .failure(let error): self.answerLater(call, .failure(CallError(message: "\(error)")))
            }
        }
    }

    // MARK: State as JSON

    // Values are stored as text and travel as text: nothing is decoded on the way.

    private static func json(_ entry: StateEntry) -> JSON {
        var text = Array(#"{"value":"#.utf8)
        entry.value.withUnsafeBytes { text += $0 }
        text += Array(#","version":\#(entry.version),"expiry_us":\#(entry.expires?.microseconds ?? 0)}"#.utf8)
        return JSON(trusted: text)
    }

    private static func json(_ entries: [StateEntry]) -> JSON {
        var text: [UInt8] = [UInt8(ascii: "[")]
        for entry in entries {
            if text.count > 1 { text.append(UInt8(ascii: ",")) }
            text += Array(#"{"key":"#.utf8)
            JSON(.string(entry.key)).withUnsafeBytes { text += $0 }
            text += Array(#","value":"#.utf8)
            entry.value.withUnsafeBytes { text += $0 }
            text += Array(#","version":\#(entry.version)}"#.utf8)
        }
        text.append(UInt8(ascii: "]"))
        return JSON(trusted: text)
    }
}

/// What is raised in the script that called.
private struct CallError: Error {
    let message: String
}

internal import DequeModule
public import MoonbusEvents
internal import Synchronization

/// Every event that is recorded and matches, from the moment when the sequence was made; see ``EventBus/events(matching:buffer:)``.
///
/// For one reader: two iterators of one sequence share its events between them. Ends when the bus stops, or the reading task is cancelled.
public struct EventSequence: AsyncSequence, Sendable {
    /// The type that stands for events which the reader was too slow for; its data is `{"count": n}`.
    public static let skippedType = "moonbus.skipped"

    private let view: TapView

    init(bus: EventBus, pattern: EventPattern, limit: Int) {
        view = TapView(bus: bus, tap: Tap(pattern: pattern, limit: limit))
    }

    /// How many events were skipped so far because the reader was too slow.
    public var skippedCount: Int { view.tap.skippedCount }

    /// Starts reading.
    public func makeAsyncIterator() -> Iterator { Iterator(view: view) }

    /// Reads the events one by one.
    public struct Iterator: AsyncIteratorProtocol {
        let view: TapView

        /// The next event; waits for it. Nil when the bus has stopped or the task is cancelled.
        public mutating func next() async -> Event? {
            await view.tap.next()
        }
    }
}

/// Keeps a tap registered for as long as somebody may read from it.
final class TapView: Sendable {
    let tap: Tap
    private let bus: EventBus

    init(bus: EventBus, tap: Tap) {
        self.bus = bus
        self.tap = tap
        if !bus.owner.post({ bus.dispatcher.add(tap) }) { tap.finish() }
    }

    deinit {
        bus.owner.post { [bus, tap] in bus.dispatcher.remove(tap) }
    }
}

/// A bounded buffer between the owner thread and one reader.
final class Tap: Sendable {
    let pattern: EventPattern
    private let limit: Int
    private let state = Mutex(State())

    private struct State {
        var events = Deque<Event>()
        var reader: CheckedContinuation<Event?, Never>?
        /// Skipped since the reader was last told.
        var skipped = 0
        var skippedCount = 0
        var isOver = false
    }

    init(pattern: EventPattern, limit: Int) {
        self.pattern = pattern
        self.limit = limit
    }

    var skippedCount: Int { state.withLock { $0.skippedCount } }

    /// Offers an event; on the owner thread. Never waits: without room it is counted.
    func offer(_ event: Event) {
        let reader = state.withLock { state -> CheckedContinuation<Event?, Never>? in
            if let reader = state.reader {
                state.reader = nil
                return reader
            }
            if state.events.count < limit, state.skipped == 0 {
                state.events.append(event)
            } else {
                state.skipped += 1
                state.skippedCount += 1
            }
            return nil
        }
        reader?.resume(returning: event)
    }

    /// Ends the sequence once what is buffered has been read.
    func finish() {
        let reader = state.withLock { state in
            state.isOver = true
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume(returning: nil)
    }

    func next() async -> Event? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer = state.withLock { state -> Event?? in
                    if let event = Self.take(&state) { return .some(event) }
                    if state.isOver || Task.isCancelled { return .some(nil) }
                    precondition(state.reader == nil, "an event sequence has one reader")
                    state.reader = continuation
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let reader = state.withLock { state in
                defer { state.reader = nil }
                return state.reader
            }
            reader?.resume(returning: nil)
        }
    }

    /// What is buffered comes first, then the note of what is missing behind it.
    private static func take(_ state: inout State) -> Event? {
        if let event = state.events.popFirst() { return event }
        guard state.skipped > 0 else { return nil }
        let data = JSON(.object(["count": .integer(Int64(state.skipped))]))
        state.skipped = 0
        return try? Event(type: EventType(EventSequence.skippedType), data: data)
    }
}

extension Dispatcher {
    func add(_ tap: Tap) {
        if case .over = end { tap.finish() } else { taps.append(tap) }
    }

    func remove(_ tap: Tap) {
        taps.removeAll { $0 === tap }
    }

    /// Shows a recorded event to everyone who watches.
    func show(_ event: Event) {
        for tap in taps where event.withUnsafeType({ tap.pattern.matches(typeBytes: $0) }) { tap.offer(event) }
    }
}

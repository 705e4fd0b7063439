public import Logging
package import MoonbusEvents
public import MoonbusJournal
internal import Synchronization

/// Records what is emitted and wakes who is owed it.
///
///     let bus = EventBus(journal: InMemoryJournal(), logger: Logger(label: "app"))
///     try await bus.start()
///     let watch = try await bus.subscribe(EventPattern("orders.*.created"), name: "audit") { event, context in
///         try context.emit(EventType("audit.noted"), data: event.data)
///         return nil
///     }
///     let receipt = try await bus.emit(Event(type: EventType("orders.eu.created")), until: .settled, within: .seconds(2))
///
/// The way of an event, and where each stage lives:
///
/// | stage | folder | what happens |
/// |---|---|---|
/// | emitting | `Emitting/` | bounds of the intake; who matches, and has each of them room; the journal records; the emitter is answered |
/// | routing | `Routing/` | patterns and filters: who is owed the event |
/// | scheduling | `Scheduling/` | one queue a subscription: key order, concurrency, batches; turns of the endpoints; wall-clock limits |
/// | settling | `Settling/` | outcomes become commits: effects and acknowledgement together; retries, dead letters, loops |
/// | time | `Time/` | delayed events, schedules, sources that run |
/// | subscribing | `Subscribing/` | Swift handlers, `for await` |
/// | replaying | `Replaying/` | recorded events once more, into one plugin |
///
/// All state is a ``Dispatcher``'s, confined to the ``OwnerThread``: there are no locks on the way, and every decision is taken between two
/// events. The public methods may be called from anywhere; they post to that thread.
public final class EventBus: Sendable {
    /// The thread that owns the bus.
    package let owner: OwnerThread
    let intake: Intake
    let dispatcher: Dispatcher
    let phase = Mutex(Phase.created)

    /// What a bus is doing. It only moves forward.
    enum Phase {
        case created
        case running
        case stopped
    }

    /// Creates a bus that accepts nothing until ``start()``.
    public convenience init(journal: any Journal, configuration: BusConfiguration = .init(), logger: Logger) {
        self.init(journal: journal, configuration: configuration, logger: logger, clock: SystemClock())
    }

    /// Creates a bus that lives by `clock` and draws its retry waits by `jitter`.
    package init(
        journal: any Journal, configuration: BusConfiguration = .init(), logger: Logger, clock: any WallClock, jitter: Jitter = .full
    ) {
        owner = OwnerThread(clock: clock)
        intake = Intake(configuration)
        dispatcher = Dispatcher(
            owner: owner, journal: journal, intake: intake, configuration: configuration, logger: logger, jitter: jitter)
    }

    deinit {
        // Nobody can reach the bus any more, so nobody can stop it: its thread ends by itself, as after a crash.
        owner.end()
    }

    /// Starts the bus's thread and takes up what the journal holds: where the log ends, and the events that wait for their time.
    ///
    /// Call it once, before the first subscription.
    ///
    /// - Throws: ``JournalError`` if the journal cannot be read. The bus is then stopped for good.
    public func start() async throws {
        let mayStart = phase.withLock { phase in
            defer { phase = .running }
            return phase == .created
        }
        precondition(mayStart, "an event bus starts once")
        owner.start()
        do {
            try await withCheckedThrowingContinuation { continuation in
                owner.post { self.dispatcher.start { continuation.resume(with: $0) } }
            }
        } catch {
            phase.withLock { $0 = .stopped }
            owner.stop()
            throw error
        }
    }

    /// Refuses new events, lets what runs finish, and ends the thread.
    ///
    /// What is owed but does not run yet stays owed, in the journal. Only the first call does something; others return at once.
    ///
    /// - Parameter limit: how long runs may still take; what has not ended then will run again after the next start.
    public func stop(within limit: Duration = .seconds(10)) async {
        let wasRunning = phase.withLock { phase in
            defer { phase = .stopped }
            return phase == .running
        }
        guard wasRunning else { return }
        await withCheckedContinuation { continuation in
            owner.post { self.dispatcher.drain(within: limit) { continuation.resume() } }
        }
        // The last callbacks run in the dispatcher's final turn; only then may the thread end. Joining it blocks, but only for that turn.
        owner.stop()
    }

    /// What the bus has done and what it holds.
    ///
    /// - Parameter ofEach: false leaves out ``BusStatistics/subscriptions``, which costs as much as there are.
    public func statistics(ofEach: Bool = true) async -> BusStatistics {
        // Once the thread has ended nobody changes them any more.
        await owner.perform { self.dispatcher.statistics(ofEach: ofEach) } ?? dispatcher.statistics(ofEach: ofEach)
    }
}

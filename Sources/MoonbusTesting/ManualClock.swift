package import MoonbusEvents
internal import Synchronization

/// A clock that stands still until a test moves it: wall time and monotonic time alike.
///
///     let clock = ManualClock()
///     let bus = EventBus(journal: InMemoryJournal(limits: .init(), clock: clock), logger: logger, clock: clock)
///     clock.drive(next: { bus.owner.nextDeadline() }, run: { bus.owner.catchUp() })
///     …
///     clock.advance(by: .seconds(30))   // every timer of these 30 s has fired, in order, at its own time
package final class ManualClock: WallClock, Sendable {
    /// Something that has timers on this clock.
    private struct Driven: Sendable {
        let next: @Sendable () -> Duration?
        let run: @Sendable () -> Void
    }

    private struct Reading {
        var wall: Timestamp
        var monotonic = Duration.seconds(1_000)
    }

    private let reading: Mutex<Reading>
    private let driven = Mutex<[Driven]>([])

    /// Creates a clock that shows `start`; by default 2026-01-01T00:00:00Z.
    package init(start: Timestamp = Timestamp(microseconds: 1_767_225_600_000_000)) {
        reading = Mutex(Reading(wall: start))
    }

    package func now() -> Timestamp {
        reading.withLock { $0.wall }
    }

    package func monotonic() -> Duration {
        reading.withLock { $0.monotonic }
    }

    /// Makes the clock drive something with timers.
    ///
    /// - Parameters:
    ///   - next: when its next timer is due, in monotonic time; nil: it has none.
    ///   - run: runs everything that is due, and all that follows from it, before it returns.
    package func drive(next: @escaping @Sendable () -> Duration?, run: @escaping @Sendable () -> Void) {
        driven.withLock { $0.append(Driven(next: next, run: run)) }
    }

    /// Lets time pass: stops at each timer on the way, and returns when the last one has run. Not from a driven thread.
    package func advance(by duration: Duration) {
        let driven = driven.withLock { $0 }
        for each in driven { each.run() }
        let end = monotonic() + duration
        while let next = driven.compactMap({ $0.next() }).min(), next <= end {
            move(by: max(.zero, next - monotonic()))
            for each in driven { each.run() }
        }
        move(by: end - monotonic())
        for each in driven { each.run() }
    }

    /// Sets the wall clock, as an operator may: monotonic time does not notice.
    package func jump(to time: Timestamp) {
        reading.withLock { $0.wall = time }
    }

    private func move(by duration: Duration) {
        reading.withLock { reading in
            reading.wall = reading.wall + duration
            reading.monotonic += duration
        }
    }
}

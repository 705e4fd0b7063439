internal import Synchronization

/// Time as a picture: one character a tick, `-` for nothing, `(ab)` for two things in one tick.
///
///     in   "a--b-----"
///     out  "a--x-b---"
///
/// A test plays the input against a ``ManualClock``, notes what comes out, and compares pictures.
package struct Timeline: Sendable, Hashable, CustomStringConvertible {
    /// What happens in each tick.
    package let ticks: [[Character]]

    /// Reads a picture. Spaces are for the reader only.
    package init(_ picture: String) {
        var ticks: [[Character]] = []
        var group: [Character]?
        for character in picture where character != " " {
            switch (character, group) {
            case ("(", nil): group = []
            case (")", .some(let symbols)):
                ticks.append(symbols)
                group = nil
            case (_, .some): group?.append(character)
            case ("-", nil): ticks.append([])
            default: ticks.append([character])
            }
        }
        precondition(group == nil, "a group in a timeline ends with ')': \(picture)")
        self.ticks = ticks
    }

    fileprivate init(ticks: [[Character]]) {
        self.ticks = ticks
    }

    package var description: String {
        ticks.map { symbols in
            switch symbols.count {
            case 0: "-"
            case 1: String(symbols[0])
            default: "(\(String(symbols)))"
            }
        }.joined()
    }

    /// Plays the picture: at each tick `happens` is called for what is drawn there, and then the clock moves on by one tick.
    package func play(on clock: ManualClock, tick: Duration = .seconds(1), _ happens: (Character) async throws -> Void) async rethrows {
        for symbols in ticks {
            for symbol in symbols { try await happens(symbol) }
            clock.advance(by: tick)
        }
    }
}

/// Draws what happens while a ``Timeline`` is played. From any thread.
package final class TimelineRecorder: Sendable {
    private let clock: ManualClock
    private let tick: Duration
    private let start: Duration
    private let notes = Mutex<[(time: Duration, symbol: Character)]>([])

    /// Starts drawing now.
    package init(clock: ManualClock, tick: Duration = .seconds(1)) {
        self.clock = clock
        self.tick = tick
        start = clock.monotonic()
    }

    /// Draws a symbol into the present tick.
    package func note(_ symbol: Character) {
        let time = clock.monotonic() - start
        notes.withLock { $0.append((time, symbol)) }
    }

    /// The picture, as long as time has passed.
    package var timeline: Timeline {
        let count = max(0, Int(((clock.monotonic() - start) / tick).rounded(.down)))
        var ticks = [[Character]](repeating: [], count: count)
        for note in notes.withLock({ $0 }) {
            let index = Int((note.time / tick).rounded(.down))
            while index >= ticks.count { ticks.append([]) }
            ticks[index].append(note.symbol)
        }
        return Timeline(ticks: ticks)
    }
}

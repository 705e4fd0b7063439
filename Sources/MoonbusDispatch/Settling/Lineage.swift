internal import MoonbusEvents

/// Where events with many hops came from, so that the dead letter at a loop's end can name the loop. Confined to the owner thread.
///
/// Only events from ``hopsNoted`` on are noted: an event without a loop hardly gets there, so it costs nothing, and the half of a
/// loop's steps that is noted is enough to see it. The oldest of ``countMax`` notes is overwritten.
struct Lineage {
    static let hopsNoted = 4
    private static let countMax = 1_024

    private struct Note {
        var id: String
        var type: String
        var cause: String?
    }

    private var notes: [Note] = []
    private var places: [String: Int] = [:]
    private var next = 0

    /// Remembers an event, if it has come far enough.
    mutating func note(_ event: Event) {
        guard event.hops >= Self.hopsNoted else { return }
        let note = Note(id: event.id, type: event.typeText, cause: event.causeid)
        if notes.count < Self.countMax {
            notes.append(note)
        } else {
            if places[notes[next].id] == next { places[notes[next].id] = nil }
            notes[next] = note
        }
        places[note.id] = next
        next = (next + 1) % Self.countMax
    }

    /// The types on the way to an event, oldest first: "ping → pong → ping".
    func chain(to cause: Event, then event: Event) -> String {
        var types = [event.typeText, cause.typeText]
        var causeID = cause.causeid
        while let id = causeID, let place = places[id], types.count < 32 {
            types.append(notes[place].type)
            causeID = notes[place].cause
        }
        return types.reversed().joined(separator: " → ")
    }
}

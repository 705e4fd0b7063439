import MoonbusEvents

/// Answers about what is there now.
extension MemoryStore {
    func answer(_ question: JournalQuestion) -> JournalAnswer {
        switch question {
        case .events(let position, let limit, let bytes): .events(events(after: position, limit: limit, bytes: bytes))
        case .event(let id): .events(event(id: id))
        case .end: .position(log.next - 1)
        case .delayed(let limit): .delayed(delayed.earliest(limit))
        case .deadLetters(let limit): .deadLetters(letters.newest(limit))
        case .deadLetter(let id): .deadLetters(letters[id].map { [$0] } ?? [])
        case .state(let plugin, let key, let now): .state(state.entry(plugin, key, now: now).map { [$0] } ?? [])
        case .measures: .measures(measures)
        case .subscriptions:
            .subscriptions(
                numbers.map { name, index in
                    KnownSubscription(name: name, floor: records[index].progress.floor, cursor: records[index].cursor)
                })
        case .scan(let plugin, let prefix, let after, let limit, let now):
            .state(state.entries(plugin, prefix: prefix, after: after, limit: limit, now: now))
        }
    }

    private func events(after position: UInt64, limit: Int, bytes: Int) -> [RecordedEvent] {
        let first = max(position &+ 1, log.first)
        guard position < log.next, first < log.next, limit > 0 else { return [] }
        let end = min(log.next, first + UInt64(min(limit, log.count)))
        var events: [RecordedEvent] = []
        var size = 0
        for position in first..<end {
            guard size < bytes, let event = log[position] else { break }
            size += event.recordSize
            events.append(RecordedEvent(position: position, event: event))
        }
        return events
    }

    /// From the newest back: an index by id alone would cost every event, and few are asked for.
    private func event(id: String) -> [RecordedEvent] {
        var id = id
        return id.withUTF8 { id in
            for position in (log.first..<log.next).reversed() {
                guard let event = log[position], event.withUnsafeFields({ $0.id.elementsEqual(id) }) else { continue }
                return [RecordedEvent(position: position, event: event)]
            }
            return []
        }
    }

    private var measures: JournalMeasures {
        JournalMeasures(
            eventCount: log.count, size: size, delayedCount: delayed.count, deadLetterCount: letters.count,
            forgottenDeadLetterCount: letters.forgottenCount)
    }
}

import MoonbusEvents

/// Settlements, one after the other, each all or nothing.
extension MemoryStore {
    mutating func settle(_ settlements: [Settlement]) throws(JournalError) -> [Settled] {
        if settlePlainly(settlements) { return plainAnswers(settlements.count) }
        try makeRoom(for: settlements)
        var answers: [Settled] = []
        answers.reserveCapacity(settlements.count)
        for settlement in settlements { answers.append(settle(settlement)) }
        return answers
    }

    /// Settles a batch in which every delivery is just done, the usual one, without copying or answering each.
    ///
    /// - Returns: false if it is another one; nothing has happened then.
    private mutating func settlePlainly(_ settlements: [Settlement]) -> Bool {
        for index in settlements.indices {
            guard settlements[index].commit == nil, case .done = settlements[index].transition,
                case .span(let span) = settlements[index].coverage, Int(settlements[index].subscription.index) < records.count,
                !records[Int(settlements[index].subscription.index)].progress.hasEnded(span.through)
            else { return false }
        }
        for index in settlements.indices {
            guard case .span(let span) = settlements[index].coverage else { continue }
            records[Int(settlements[index].subscription.index)].progress.end(span)
        }
        return true
    }

    /// So many times "committed": the same array again, as long as batches have the same size.
    private mutating func plainAnswers(_ count: Int) -> [Settled] {
        if plain.count != count { plain = Array(repeating: .committed([]), count: count) }
        return plain
    }

    /// Room for everything that a batch may add, before any of it is committed: a batch that does not fit changes nothing.
    private mutating func makeRoom(for settlements: [Settlement]) throws(JournalError) {
        var events: [Event] = []
        var count = 0
        for settlement in settlements {
            guard Int(settlement.subscription.index) < records.count else {
                throw JournalError(.misuse, "subscription number \(settlement.subscription.index) was never given out")
            }
            guard let commit = settlement.commit else { continue }
            events += commit.events
            events += commit.delayed.map(\.event)
            count += commit.delayed.count
        }
        if !events.isEmpty { try makeRoom(for: events) }
        guard delayed.count + count <= limits.delayed else {
            throw JournalError(.full, "\(delayed.count) events wait for their time, the limit is \(limits.delayed)")
        }
    }

    private mutating func settle(_ settlement: Settlement) -> Settled {
        let index = Int(settlement.subscription.index)
        if hasEnded(settlement.coverage, of: index) { return .hadEnded }
        if let change = settlement.commit?.state {
            let keys = state.conflicts(of: change, now: clock.now())
            if !keys.isEmpty { return .conflict(keys: keys) }
        }
        if let commit = settlement.commit, let excess = excess(of: commit) { return .beyondShare(excess) }
        if case .revived(let letter, let stray) = settlement.transition {
            guard letters.remove(letter) != nil else { return .hadEnded }
            if let stray { records[index].strays[stray.position] = stray }
            return .committed([])
        }
        end(settlement.coverage, of: index)
        switch settlement.transition {
        case .done, .goesOn, .revived: break
        case .retry(let strays):
            if !records[index].isRetired { for stray in strays { records[index].strays[stray.position] = stray } }
        case .dead(let dead):
            for letter in dead { letters.add(letter, bounds: limits.letters) }
        }
        return .committed(settlement.commit.map { apply($0, of: index) } ?? [])
    }

    /// What a commit wants beyond its share, once what has expired is out of its way.
    private mutating func excess(of commit: Commit) -> ShareExcess? {
        func find() -> ShareExcess? { holdings.excess(of: commit) { state.size(commit.share?.plugin ?? "", $0) } }
        guard find() != nil else { return nil }
        state.sweepIfDue(clock.now(), &holdings)
        return find()
    }

    private func hasEnded(_ coverage: Settlement.Coverage, of index: Int) -> Bool {
        // A retired subscription has no record to look it up in; its bus has it in hand only once.
        if records[index].isRetired { return false }
        switch coverage {
        case .nothing: return false
        case .span(let span): return records[index].progress.hasEnded(span.through)
        case .spans(let spans): return spans.contains { records[index].progress.hasEnded($0.through) }
        case .strays(let positions): return positions.contains { records[index].strays[$0] == nil }
        }
    }

    private mutating func end(_ coverage: Settlement.Coverage, of index: Int) {
        switch coverage {
        case .nothing: break
        case .span(let span): records[index].progress.end(span)
        case .spans(let spans): for span in spans { records[index].progress.end(span) }
        case .strays(let positions): for position in positions { records[index].strays[position] = nil }
        }
    }

    private mutating func apply(_ commit: Commit, of index: Int) -> [Recorded] {
        let recorded = record(commit.events)
        for later in commit.delayed where !delayed.contains(later.event) && recent.position(of: hash.identity(of: later.event)) == nil {
            delayed.add(later, of: commit.share?.plugin, &holdings)
        }
        if let change = commit.state { state.apply(change, now: clock.now(), &holdings) }
        if let cursor = commit.cursor { records[index].cursor = cursor }
        if let schedule = commit.schedule { records[index].schedule = schedule }
        for letter in commit.deadLetters { letters.add(letter, bounds: limits.letters) }
        for result in commit.results {
            if let source = numbers[result.subscription] { records[source].strays[result.stray.position] = result.stray }
        }
        return recorded
    }
}

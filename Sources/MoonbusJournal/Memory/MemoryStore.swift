import MoonbusEvents

/// What an ``InMemoryJournal`` holds, under its lock: five tables that change together, and what each plugin has in them.
///
/// | table | key | what |
/// |---|---|---|
/// | `log` | position | events |
/// | `records` | subscription number | progress, strays, cursor, schedule |
/// | `delayed` | source and id | events that wait for their time |
/// | `letters` | letter id | dead letters |
/// | `state` | plugin, key | values with versions |
struct MemoryStore {
    let limits: JournalLimits
    let clock: any WallClock
    let hash = ByteHash()
    var log = EventLog()
    var recent: RecentIDs
    var records: [SubscriptionRecord] = []
    var numbers: [String: Int] = [:]
    var delayed = DelayedTable()
    var letters = LetterBox()
    var state = StateTable()
    var holdings = Holdings()
    /// Ids of the events that are being recorded.
    private var ids = ContiguousArray<ByteHash.Value>()
    /// Keeps the compiler from leaving out ``RecentIDs/touch(_:)``.
    private var touched: UInt32 = 0
    /// The answer to a batch in which nothing went wrong.
    var plain: [Settled] = []
    /// Nobody who is claimed is owed anything at or below this position, except what their own record says.
    var passed: UInt64 = 0

    /// The window within which an event with the same source and id is a duplicate.
    static let duplicateWindow = Duration.seconds(24 * 3_600)

    init(limits: JournalLimits, clock: any WallClock) {
        self.limits = limits
        self.clock = clock
        recent = RecentIDs(countMax: limits.rememberedIDs, window: Self.duplicateWindow, now: clock.now())
    }

    /// Bytes that count towards the bound.
    var size: Int { log.size + delayed.size + letters.size + state.size }

    // MARK: Events

    mutating func append(_ events: [Event]) throws(JournalError) -> [Recorded] {
        try makeRoom(for: events)
        return record(events)
    }

    /// Records events, for which there is room.
    ///
    /// Pass by pass, because places of ids are far apart in memory: the processor fetches many at once only where nothing in between, like
    /// a retain, makes it wait for each.
    mutating func record(_ events: [Event]) -> [Recorded] {
        guard !events.isEmpty else { return [] }
        recent.age(now: clock.now())
        ids.removeAll(keepingCapacity: true)
        events.withUnsafeBufferPointer { events in
            for index in events.indices { ids.append(hash.identity(of: events[index])) }
        }
        touched = recent.touch(ids)
        var next = log.next
        let recorded = ids.map { id -> Recorded in
            if let first = recent.remember(id, at: next) { return Recorded(position: first, isDuplicate: true) }
            next += 1
            return Recorded(position: next - 1)
        }
        events.withUnsafeBufferPointer { events in
            for index in events.indices {
                if !delayed.isEmpty { delayed.remove(events[index], &holdings) }
                if !recorded[index].isDuplicate { log.append(events[index]) }
            }
        }
        return recorded
    }

    /// Forgets what may be forgotten until the events fit.
    mutating func makeRoom(for events: [Event]) throws(JournalError) {
        var bytes = 0
        for event in events { bytes += event.withUnsafeRecord { $0.count } }
        while log.first <= passed, log.count > 0, log.count + events.count > limits.history { log.dropFirst() }
        guard log.count + events.count <= limits.events else {
            throw JournalError(
                .full,
                "the journal holds \(log.count) events that are still owed to someone, its limit is \(limits.events): let handlers catch up"
            )
        }
        let held = size - letters.size
        let limit = limits.bytes - limits.letters.size
        guard held + bytes <= limit else {
            throw JournalError(
                .full,
                "the journal holds \(held) bytes beside dead letters, its limit is \(limit): let handlers catch up, or store less state")
        }
    }

    mutating func trim(through position: UInt64, owing: [SubscriptionNumber]) -> UInt64 {
        var lowest = min(position, log.next - 1)
        for number in owing where Int(number.index) < records.count { lowest = min(lowest, records[Int(number.index)].progress.floor) }
        for record in records where !record.isClaimed && !record.isRetired { lowest = min(lowest, record.progress.floor) }
        passed = max(passed, lowest)
        return log.first
    }

    // MARK: Subscriptions

    mutating func claim(_ claim: Claim) -> Claimed {
        if let index = numbers[claim.name] {
            records[index].isClaimed = true
            let record = records[index]
            // What was let go while nobody was owed it has ended, whatever the record says.
            var progress = record.progress
            progress.end(Span(after: 0, through: log.first - 1))
            return Claimed(
                number: SubscriptionNumber(UInt32(index)), isNew: false, floor: progress.floor, ended: progress.ended,
                strays: record.strays.values.sorted { ($0.due, $0.position) < ($1.due, $1.position) }, cursor: record.cursor,
                schedule: record.schedule ?? claim.schedule)
        }
        let floor = claim.beginning.map { min(max($0.after, log.first - 1), log.next - 1) } ?? log.next - 1
        var record = SubscriptionRecord(progress: Progress(floor: floor))
        record.schedule = claim.schedule
        record.cursor = claim.beginning?.cursor
        numbers[claim.name] = records.count
        records.append(record)
        // Nobody was owed what comes after it, so it may have been given up already.
        passed = min(passed, floor)
        return Claimed(
            number: SubscriptionNumber(UInt32(records.count - 1)), isNew: true, floor: floor, cursor: record.cursor,
            schedule: claim.schedule)
    }

    mutating func retire(_ name: String) {
        guard let index = numbers.removeValue(forKey: name) else { return }
        records[index] = SubscriptionRecord(progress: Progress(floor: .max))
        records[index].isRetired = true
    }
}

/// What the journal knows of one subscription.
struct SubscriptionRecord {
    var progress: Progress
    var strays: [UInt64: Stray] = [:]
    var cursor: JSON?
    var schedule: Timestamp?
    var isClaimed = true
    var isRetired = false
}

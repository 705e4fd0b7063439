internal import MoonbusEvents
internal import MoonbusJournal

/// A handler's effects, turned into what the journal commits and who is owed it. Confined to the owner thread.
final class Staged {
    let commit: Commit
    /// The events of the commit, and among them those that are ephemeral, which the journal does not get.
    let events: [Event]
    /// How they were taken apart; nil: no event is ephemeral.
    let split: EphemeralSplit?
    /// Who is owed the events, by event.
    var matches = ContiguousArray<Router.Match>()
    /// The router's generation that `matches` are from; nil: nothing was matched yet.
    var generation: UInt64?

    init(_ commit: Commit) {
        self.commit = commit
        events = commit.events
        split = nil
    }

    /// Takes the ephemeral events out of what the journal is to commit.
    ///
    /// - Throws: ``Fault`` `.error` for one that is to come later: what waits is in the journal.
    init(_ commit: Commit, _ ephemeral: EphemeralTypes) throws(Fault) {
        if let late = ephemeral.split(commit.delayed.map(\.event)), let place = late.isEphemeral.firstIndex(of: true) {
            let type = commit.delayed[place].event.typeText
            throw Fault(.error, "bus.emit('\(type)'): an ephemeral event cannot wait for its time; emit it without delay")
        }
        events = commit.events
        split = ephemeral.split(commit.events)
        self.commit =
            split.map { split in
                Commit(
                    events: split.durable, delayed: commit.delayed, state: commit.state, cursor: commit.cursor, schedule: commit.schedule,
                    deadLetters: commit.deadLetters, results: commit.results, share: commit.share)
            } ?? commit
    }
}

/// Turns the effects of one delivery into a commit.
struct Stager {
    let queue: SubscriptionQueue
    /// What the handler got; of a batch, its first event.
    let cause: Event
    /// The most hops among what the handler got.
    let hops: Int
    /// True for what starts a chain: a tick, a source's run. Its events have no cause and no hops.
    let isRoot: Bool
    let now: Timestamp
    let configuration: BusConfiguration
    /// The ordinal of the first emit: earlier ones left with checkpoints.
    let firstOrdinal: Int
    let delayedCount: Int

    /// What the effects amount to.
    ///
    /// - Throws: ``Fault`` if one of them cannot be: `.error` for a bad attribute, `.full` when too many events wait for their time.
    func commit(_ effects: [Effect], schedule: Timestamp?, lineage: Lineage, versions: inout StateVersions) throws(Fault) -> Commit {
        var events: [Event] = []
        var delayed: [DelayedEvent] = []
        var state = StateChange(plugin: queue.spec.plugin)
        var cursor: JSON?
        var letters: [DeadLetter] = []
        var ordinal = firstOrdinal
        let identity = Identity(event: cause, subscription: queue.identityKey)
        for effect in effects {
            switch effect {
            case .emit(let type, let data, let options):
                let event = try makeEvent(type, data, options, id: options.id ?? identity.eventID(ordinal))
                ordinal += 1
                if event.hops > configuration.hopsMax {
                    letters.append(loopLetter(event, lineage))
                } else if let due = options.at ?? options.delay.map({ now + $0 }), due > now {
                    delayed.append(DelayedEvent(event: event, due: due))
                } else {
                    events.append(event)
                }
            case .read(let key, let version): state.reads.append(StateRead(key: key, version: version))
            case .set(let key, let value, let expiry, let version):
                state.writes.append(StateWrite(key: key, value: value, version: version ?? versions.next(), expires: expiry))
            case .delete(let key): state.writes.append(StateWrite(deleting: key))
            case .cursor(let value): cursor = value
            }
        }
        if !delayed.isEmpty, delayedCount + delayed.count > configuration.delayedMax {
            throw Fault(
                .full,
                "\(delayedCount) events wait for their time already, the limit is \(configuration.delayedMax): emit fewer with a delay")
        }
        let hasState = !state.reads.isEmpty || !state.writes.isEmpty
        return Commit(
            events: events, delayed: delayed, state: hasState ? state : nil, cursor: cursor, schedule: schedule, deadLetters: letters,
            share: hasState || !delayed.isEmpty ? share : nil)
    }

    private var share: Share? {
        queue.spec.stateSizeMax.map {
            Share(
                plugin: queue.spec.plugin, stateSizeMax: $0, delayedMax: configuration.delayedOfPluginMax,
                delayedSizeMax: configuration.delayedBytesOfPluginMax)
        }
    }

    private func makeEvent(_ type: EventType, _ data: JSON?, _ options: EmitOptions, id: String) throws(Fault) -> Event {
        let trace = cause.traceparent.flatMap(TraceContext.init)?.child().description
        do throws(EventError) {
            return try Event(
                type: type, data: data, id: id, source: options.source ?? "/plugins/\(queue.spec.plugin)", subject: options.subject,
                key: options.key, time: now, traceparent: trace, causeid: isRoot ? nil : cause.id, hops: isRoot ? 0 : hops + 1,
                extensions: queue.replyTo)
        } catch {
            throw Fault(.error, "bus.emit('\(type)'): \(error.message)")
        }
    }

    private func loopLetter(_ event: Event, _ lineage: Lineage) -> DeadLetter {
        let chain = lineage.chain(to: cause, then: event)
        let text =
            "'\(event.typeText)' would have gone through \(event.hops) handlers, the limit is \(configuration.hopsMax): \(chain); "
            + "break the loop, or emit fewer steps"
        return DeadLetter(
            subscription: queue.name, position: 0, event: event,
            failures: [FailedAttempt(attempt: 1, time: now, fault: Fault(.loop, text))], died: now)
    }
}

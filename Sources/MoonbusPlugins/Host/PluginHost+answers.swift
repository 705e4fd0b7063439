import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusLane

/// What lanes send, and what it means for the bus.
extension PluginHost {
    /// Takes one frame of a lane.
    ///
    /// - Throws: ``FrameError`` when it is none that a lane of ours sends; the lane is ended then.
    func received(_ frame: LaneFrame, from lane: Lane) throws(FrameError) {
        switch frame {
        case .ready: break
        case .outcomes(let outcomes): try take(outcomes, from: lane)
        case .loaded(let number, let isOK, let json): try loaded(number, isOK, json, on: lane)
        case .call(let call, let delivery, let number, let json):
            take(LaneCall(number: call, delivery: delivery, context: number), json, from: lane)
        case .log(let number, let json): log(json, of: lane.contexts[number])
        case .lost(_, let deliveries): lost(deliveries, on: lane)
        case .done(let deliveries): take(deliveries, from: lane)
        }
    }

    // MARK: Outcomes

    private func take(_ done: DoneReader, from lane: Lane) {
        var answers = Answers()
        swap(&answers, &spareAnswers)
        var idle: [PluginVersion] = []
        lane.close(done, into: &answers.done) { if $0.version.isDraining { idle.append($0.version) } }
        for version in idle { answers.noteDrained(version) }
        finish(&answers)
    }

    private func take(_ outcomes: OutcomeReader, from lane: Lane) throws(FrameError) {
        var answers = Answers()
        swap(&answers, &spareAnswers)
        // What was read before a bad record is settled all the same: its flights are closed.
        let failure = read(outcomes, from: lane, into: &answers)
        finish(&answers)
        if let failure { throw failure }
    }

    private func finish(_ answers: inout Answers) {
        if !answers.done.isEmpty { bus.settle(done: answers.done) }
        if !answers.others.isEmpty { bus.settle(answers.others) }
        for version in answers.drained { retire(version) }
        for (plugin, status) in answers.hogs { hogged(plugin, status) }
        if phase == .stopping { finishStoppingIfIdle() }
        answers.removeAll()
        swap(&answers, &spareAnswers)
    }

    private func read(_ outcomes: OutcomeReader, from lane: Lane, into answers: inout Answers) -> FrameError? {
        var reader = outcomes
        do throws(FrameError) {
            while let record = try reader.next() {
                // A delivery that was given up meanwhile has no flight any more: what still comes for it is ignored.
                guard let flight = lane.flights.find(record.delivery), let context = flight.pointee.context else { continue }
                if record.status == .done, record.effects.isEmpty, record.detail.isEmpty {
                    answers.done.append(lane.close(flight))
                } else if record.status == .checkpoint {
                    checkpoint(record, flight, of: context.version, on: lane)
                    continue
                } else {
                    try take(record, flight, of: context.version, on: lane, into: &answers)
                }
                if context.flightCount == 0, context.version.isDraining { answers.noteDrained(context.version) }
            }
            return nil
        } catch {
            return error
        }
    }

    private func take(
        _ record: OutcomeRecord, _ flight: UnsafeMutablePointer<Flights.Flight>, of version: PluginVersion, on lane: Lane,
        into answers: inout Answers
    ) throws(FrameError) {
        var (verdict, effects) = try verdict(of: record, version)
        if case .done(let cursor?) = verdict, version.pollers.contains(flight.pointee.handler) {
            effects.append(.cursor(cursor))
            verdict = .done(nil)
        }
        answers.others.append(Outcome(delivery: lane.close(flight), verdict, effects: effects))
        if record.status == .timeout || record.status == .killed { answers.hogs.append((version.plugin, record.status)) }
    }

    private func verdict(of record: OutcomeRecord, _ version: PluginVersion) throws(FrameError) -> (Outcome.Verdict, [Effect]) {
        switch record.status {
        case .done, .checkpoint:
            if record.effects.isEmpty, record.detail.isEmpty { return (.done(nil), []) }
            do throws(Fault) {
                let effects = try EffectTranslation(version: version).effects(record)
                return (.done(try result(record)), effects)
            } catch {
                return (.failed(error), [])
            }
        case .failed, .memory, .timeout, .killed: return (.failed(LaneFault(record.detail).fault(of: version)), [])
        case .rejected: return (.rejected(record.reason), [])
        case .retry: return (.retry(try record.retryDelay()), [])
        case .cancelled: return (version.isDraining ? .interrupted : .failed(Fault(.timeout, record.reason)), [])
        }
    }

    private func result(_ record: OutcomeRecord) throws(Fault) -> JSON? {
        guard !record.detail.isEmpty else { return nil }
        do throws(EventError) { return try JSON(validating: record.detail) } catch { throw Fault(.error, "the result: \(error.message)") }
    }

    /// Commits what a source that goes on running has staged. Effects that it may not have end it.
    private func checkpoint(
        _ record: OutcomeRecord, _ flight: UnsafeMutablePointer<Flights.Flight>, of version: PluginVersion, on lane: Lane
    ) {
        let delivery = flight.pointee.delivery
        do throws(Fault) {
            bus.checkpoint(delivery, effects: try EffectTranslation(version: version).effects(record))
        } catch {
            lane.cancel(reason: error.message) { $0.delivery == delivery }
            _ = lane.close(flight)
            bus.settle([Outcome(delivery: delivery, .failed(error))])
        }
    }

    /// A context was cut: what waited in it is due again. The lane makes the context again by itself.
    private func lost(_ deliveries: [UInt64], on lane: Lane) {
        let interrupted = deliveries.compactMap { number in
            lane.flights.find(number).map { Outcome(delivery: lane.close($0), .interrupted) }
        }
        if !interrupted.isEmpty { bus.settle(interrupted) }
        if phase == .stopping { finishStoppingIfIdle() }
    }

    // MARK: Loaded

    private func loaded(_ number: UInt32, _ isOK: Bool, _ json: UnsafeRawBufferPointer, on lane: Lane) throws(FrameError) {
        guard let context = lane.contexts[number] else { return }  // given up meanwhile
        let version = context.version
        if context.phase == .loading {
            guard let load = version.load else { return }
            if isOK {
                load.loaded(try Declarations(json))
            } else {
                load.fail(LaneFault(json).error(of: version))
            }
        } else if !isOK {
            // Cut by the lane, and not to be made again there.
            let error = LaneFault(json).error(of: version)
            dropContext(context)
            contextIsGone(context, because: .broke("the context could not be made again after it was cut (\(error.message))"))
        }
    }

    /// Takes a context that the lane has no more out of the books; what it had is due again.
    private func dropContext(_ context: PluginContext) {
        lost(context.lane.flights.numbers { $0.context === context }, on: context.lane)
        context.phase = .gone
        context.lane.contexts[context.number] = nil
        context.version.remove(context)
    }

    // MARK: Log

    private func log(_ json: UnsafeRawBufferPointer, of context: PluginContext?) {
        guard let plugin = context?.version.plugin, plugin.logBudget.take(limit: configuration.logLines) else { return }
        guard let line = (try? JSON(validating: json, limits: JSONLimits(bytes: 64 << 10)))?.value else { return }
        let leftOut = plugin.logBudget.takeLeftOut()
        if leftOut > 0 { tell(.log(level: "warn", text: "\(leftOut) lines were left out"), about: plugin.name) }
        var text = line["text"]?.string ?? ""
        if let fields = line["fields"], fields.object?.isEmpty == false { text += " \(JSON(fields))" }
        tell(.log(level: line["level"]?.string ?? "info", text: text), about: plugin.name)
    }
}

/// What one frame of outcomes comes to. Kept from frame to frame, for its memory.
struct Answers {
    /// Deliveries whose handlers returned nothing and want nothing: nearly all, as a rule.
    var done: [UInt64] = []
    var others: [Outcome] = []
    var drained: [PluginVersion] = []
    /// Plugins of which a handler ran up to its CPU limit.
    var hogs: [(Plugin, OutcomeStatus)] = []

    mutating func noteDrained(_ version: PluginVersion) {
        if version.flightCount == 0, !drained.contains(where: { $0 === version }) { drained.append(version) }
    }

    mutating func removeAll() {
        done.removeAll(keepingCapacity: true)
        others.removeAll(keepingCapacity: true)
        drained.removeAll()
        hogs.removeAll()
    }
}

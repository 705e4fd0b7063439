import Logging
import MoonbusDispatch
import MoonbusJournal
import MoonbusLane

/// Lanes: started, shared out, watched, mourned.
extension PluginHost {
    /// How many lanes plugins that broke theirs get altogether; beyond, they share those.
    private static let secludedLanesMax = 32
    /// A process can have this many thread lanes.
    private static let threadLanesMax = 64

    var laneCount: Int {
        switch configuration.lanes {
        case .processes(_, let count): max(1, min(count, 64))
        case .threads(let count): max(1, min(count, Self.threadLanesMax / 2))
        }
    }

    /// Starts one more lane.
    ///
    /// - Throws: ``PluginError`` `.laneDied`.
    @discardableResult
    func startLane(resident: String?) throws(PluginError) -> Lane {
        do throws(LaneSpawn.Failure) {
            let (home, socket, page, area) = try spawn()
            lastLaneNumber += 1
            let lane = Lane(number: lastLaneNumber, home: home, socket: socket, page: page, area: area, resident: resident, host: self)
            lane.open()
            lanes.append(lane)
            return lane
        } catch {
            throw PluginError(
                .laneDied, plugin: resident ?? "moonbus", message: "no lane can be started: \(error)",
                hint: "lanes are started as 'moonbus lane': is the executable there, and may it be run?")
        }
    }

    private func spawn() throws(LaneSpawn.Failure) -> (Lane.Home, Int32, LanePage, LaneArea) {
        switch configuration.lanes {
        case .processes(let executable, _):
            let spawned = try LaneSpawn.start(executable: executable)
            return (.process(spawned.process), spawned.socket, spawned.page, spawned.area)
        case .threads:
            guard let page = LanePage(memory: nil) else { throw LaneSpawn.Failure("mmap", 12) }
            guard let area = LaneArea(memory: nil) else {
                page.unmap()
                throw LaneSpawn.Failure("mmap", 12)
            }
            do throws(LaneSpawn.Failure) {
                let (ours, theirs) = try LaneSpawn.socketPair()
                guard let thread = ThreadLane.start(socket: theirs, page: page.start, area: area.bytes) else {
                    LaneSpawn.closeSocket(ours)
                    throw LaneSpawn.Failure("pthread_create", 11)
                }
                return (.thread(thread), ours, page, area)
            } catch {
                page.unmap()
                area.unmap()
                throw error
            }
        }
    }

    /// Sends what the turn has gathered.
    func flushLanes() {
        while let lane = markedLanes.popLast() { lane.flush() }
    }

    // MARK: Placement

    /// The lanes for a plugin's contexts: the least loaded ones, each only once as long as there are others; for a plugin that is secluded, its own.
    func place(_ plugin: Plugin, count: Int) throws(PluginError) -> [Lane] {
        let home = plugin.isSecluded ? [try ownLane(of: plugin)] : lanes.filter { $0.resident == nil }
        guard !home.isEmpty else {
            throw PluginError(
                .laneDied, plugin: plugin.name, message: "no lane is running", hint: "lanes are being started again; the plugin follows")
        }
        var chosen: [Lane] = []
        for _ in 0..<count {
            let lane = home.min { left, right in
                let leftUse = chosen.count { $0 === left }, rightUse = chosen.count { $0 === right }
                return (leftUse, left.contexts.count + leftUse, left.number) < (rightUse, right.contexts.count + rightUse, right.number)
            }
            chosen.append(lane ?? home[0])
        }
        return chosen
    }

    private func ownLane(of plugin: Plugin) throws(PluginError) -> Lane {
        if let own = lanes.first(where: { $0.resident == plugin.name }) { return own }
        let secluded = lanes.filter { $0.resident != nil }
        if secluded.count >= Self.secludedLanesMax, let shared = secluded.min(by: { $0.contexts.count < $1.contexts.count }) {
            return shared
        }
        return try startLane(resident: plugin.name)
    }

    /// Ends lanes of their own that nobody needs any more.
    func endEmptyLanes() {
        for lane in lanes
        where lane.resident != nil && lane.contexts.isEmpty && lane.flights.count == 0 && plugins[lane.resident ?? ""]?.loading == nil {
            dismiss(lane)
        }
    }

    private func dismiss(_ lane: Lane) {
        lanes.removeAll { $0 === lane }
        bury(lane)
    }

    /// Ends a lane and says how it ended.
    @discardableResult
    private func bury(_ lane: Lane) -> LaneEnd? {
        let end = lane.end()
        if case .thread(let thread) = lane.home { endedThreads.append((thread, lane)) }
        return end
    }

    // MARK: A lane ends

    /// Takes care of everything that a lane leaves behind: what it had is due again, its contexts are loaded again elsewhere, and whoever
    /// broke it gets a strike.
    func laneEnded(_ lane: Lane, _ cause: LaneEnd) {
        let running = lane.page.read()
        let ended = bury(lane)
        // The process's own end says more than that its socket closed; when the host ended it, the host knows why.
        let end = cause == .closed ? ended ?? cause : cause
        lanes.removeAll { $0 === lane }
        markedLanes.removeAll { $0 === lane }
        guard phase == .running else {
            settleLost(lane, end, culprit: nil)
            return finishStoppingIfIdle()
        }

        let culprit = running.isRunning && end != .yielded ? UInt32(exactly: running.context).flatMap { lane.contexts[$0] } : nil
        settleLost(lane, end, culprit: culprit.map { ($0, running.task) })
        let contexts = lane.contexts.values.sorted { $0.number < $1.number }
        lane.contexts = [:]
        for context in contexts {
            context.phase = .gone
            context.version.remove(context)
        }
        var names: [String] = []
        for context in contexts where !names.contains(context.version.plugin.name) { names.append(context.version.plugin.name) }
        tell(.laneEnded(lane: lane.number, reason: "\(end)", plugins: names))
        if lane.resident == nil { replaceLane(wasReady: lane.isReady) }
        if let culprit, end.blamesPlugin { strike(culprit.version.plugin, because: end, doing: whatRan(culprit, lane, running.task)) }
        for context in contexts { contextIsGone(context, because: end) }
        endEmptyLanes()
    }

    /// Settles everything that a lane had: due again, except what ran when it broke, which has had an attempt.
    private func settleLost(_ lane: Lane, _ end: LaneEnd, culprit: (context: PluginContext, task: UInt64)?) {
        var outcomes: [Outcome] = []
        for number in lane.flights.numbers(where: { _ in true }) {
            guard let flight = lane.flights.find(number) else { continue }
            let isCulprit = culprit.map { number == $0.task && flight.pointee.context === $0.context } ?? false
            let verdict: Outcome.Verdict = isCulprit ? .failed(Fault(.killed, "\(end)")) : .interrupted
            outcomes.append(Outcome(delivery: lane.close(flight), verdict))
        }
        if !outcomes.isEmpty { bus.settle(outcomes) }
    }

    /// What a context was doing, for people.
    private func whatRan(_ context: PluginContext, _ lane: Lane, _ task: UInt64) -> String {
        if context.phase == .loading || task == .max { return "while it was loaded" }
        return "in one of its handlers"
    }

    private func replaceLane(wasReady: Bool) {
        failedLaneCount = wasReady ? 0 : failedLaneCount + 1
        // A lane that can't even start is tried again at growing distances, at most every 5 s: its plugins wait meanwhile.
        let delay: Duration = failedLaneCount == 0 ? .zero : min(.milliseconds(100) * (1 << min(failedLaneCount, 6)), .seconds(5))
        guard delay > .zero else { return startLaneOrRetry() }
        _ = bus.owner.timer(after: delay) { [weak self] in self?.startLaneOrRetry() }
    }

    private func startLaneOrRetry() {
        guard phase == .running, lanes.count(where: { $0.resident == nil }) < laneCount else { return }
        do throws(PluginError) { try startLane(resident: nil) } catch {
            logger.error("\(error)")
            replaceLane(wasReady: false)
        }
    }

    // MARK: The watchdog

    func scheduleWatchdog() {
        watchdogTimer = bus.owner.timer(after: configuration.watchdog) { [weak self] in
            guard let self, phase == .running else { return }
            // What one look leads to may end another lane.
            for lane in lanes where !lane.hasEnded { look(at: lane) }
            scheduleWatchdog()
        }
    }

    private func look(at lane: Lane) {
        let waiting = lane.contexts.values.reduce(0) { $0 + $1.waitingCount }
        let isLoading = lane.contexts.values.contains { $0.phase == .loading }
        let isBusy = isLoading || lane.flights.count > waiting
        var cpu: Duration?
        if case .process(let process) = lane.home { cpu = LaneSpawn.cpuTime(of: process) }
        let limits = LaneWatch.Limits(overrun: configuration.overrun, silence: configuration.silence)
        let reading = lane.page.read()
        let running = reading.isRunning ? UInt32(exactly: reading.context).flatMap { lane.contexts[$0] } : nil
        let held = cpu.flatMap { noteTenure(of: running, lane, cpu: $0) }
        switch lane.watch.look(at: reading, cpu: cpu, isBusy: isBusy, keepsMemory: lane.keepsMemory(), limits: limits) {
        case .fine: break
        case .slow:
            guard let context = running, lane.contexts.count > 1 else { return }
            context.wasSlow()
            if lane.watch.ran > configuration.hold {
                let what = context.phase == .loading ? "main.lua" : "a handler"
                evict(context, from: lane, because: "\(what) ran for \(milliseconds(lane.watch.ran)) ms while others waited for its lane")
            }
        case .overran(let used, let limit):
            convict(lane, "it ran for \(milliseconds(used)) ms of CPU time, its limit is \(milliseconds(limit)) ms")
        case .silent(let time): convict(lane, "it had work and gave no sign for \(milliseconds(time)) ms")
        case .hoarded(let time):
            convict(lane, "it answered its deliveries and did not give their memory back for \(milliseconds(time)) ms")
        }
        if let held, let context = running, !lane.hasEnded {
            let window = milliseconds(LaneTenure.window)
            let reason = "it had its lane for \(milliseconds(held)) of the last \(window) ms that it ran, while others waited for it"
            evict(context, from: lane, because: reason)
        }
    }

    /// Gives a plugin that holds a lane on which others wait a lane of its own, and the others theirs back.
    ///
    /// What it has queued there would hold it for its CPU limit each, and a lane that runs hears nothing: so the process ends, and everything
    /// that it had is due again. That costs a lane's start, once for such a plugin.
    private func evict(_ context: PluginContext, from lane: Lane, because reason: String) {
        guard case .process = lane.home, context.phase == .serving || context.phase == .loading, lane.resident == nil,
            othersWait(for: context.version.plugin, on: lane)
        else { return }
        seclude(context.version.plugin, because: reason)
        laneEnded(lane, .yielded)
    }

    private func othersWait(for plugin: Plugin, on lane: Lane) -> Bool {
        lane.contexts.values.contains { $0.version.plugin !== plugin && ($0.phase == .loading || $0.flightCount > $0.waitingCount) }
    }

    /// What the plugin that runs has had of a lane that it shares, if that is too much.
    private func noteTenure(of context: PluginContext?, _ lane: Lane, cpu: Duration) -> Duration? {
        guard lane.resident == nil, lane.contexts.count > 1 else { return nil }
        var look = LaneTenure.Look(time: monotonicNanoseconds(), cpu: cpu)
        if let context {
            let plugin = context.version.plugin
            look.plugin = plugin.name
            look.answerCount = lane.contexts.values.reduce(0) { $1.version.plugin === plugin ? $0 &+ $1.answerCount : $0 }
            look.othersWait = othersWait(for: plugin, on: lane)
        }
        return lane.tenure.note(look)
    }

    /// Ends a process; of a thread, which can't be ended, only says so.
    private func convict(_ lane: Lane, _ reason: String) {
        switch lane.home {
        case .process: laneEnded(lane, .broke(reason))
        case .thread:
            lane.watch.forgive()
            logger.error("lane \(lane.number) is a thread and can't be killed: \(reason)")
        }
    }

    private func milliseconds(_ duration: Duration) -> Int { Int(duration.nanoseconds / 1_000_000) }

    /// Ends what is left, at once.
    func endAllLanes() {
        let all = lanes
        lanes = []
        markedLanes = []
        for lane in all where !lane.hasEnded { bury(lane) }
    }

    /// Gives the versions on a lane a turn again: its backlog was full. One that found it so may have nothing there whose answer would do that.
    ///
    /// In a turn of its own: the hooks of this one may be over already, and nobody would wake the owner for it.
    func announceRoom(onLane number: Int) {
        bus.owner.post {
            guard let lane = self.lanes.first(where: { $0.number == number }) else { return }
            for context in lane.contexts.values where context.phase == .serving { self.bus.endpointHasRoom(context.version) }
        }
    }
}

@testable import MoonbusPlugins
import MoonbusEvents
import Testing

/// What the host keeps of lanes: flights, strikes, and the watchdog's memory.
@Suite struct LaneBooksTests {
    private func flight(_ delivery: UInt64, of context: PluginContext) -> Flights.Flight {
        Flights.Flight(delivery: delivery, holder: .passUnretained(context), handler: 1, isEndless: false)
    }

    @Test func `a number names its delivery until it is answered, and nothing afterwards`() throws {
        let rig = try BooksRig()
        let flights = Flights()
        let first = flights.add(flight(71, of: rig.context))
        let second = flights.add(flight(72, of: rig.context))
        #expect(first != 0 && second != 0 && first != second)
        let found = try #require(flights.find(first))
        #expect(found.pointee.delivery == 71)
        flights.remove(found)
        #expect(flights.find(first) == nil)
        let third = flights.add(flight(73, of: rig.context))  // the same slot again
        #expect(third != first)
        #expect(flights.find(first) == nil)
        #expect(flights.count == 2)
        for number in [0, 99, UInt64.max, second + (1 << 32)] as [UInt64] { #expect(flights.find(number) == nil) }
    }

    @Test func `three strikes within the time are one too many, and spread out they are not`() {
        let rule = StrikeRecord.Rule(count: 3, within: .seconds(600))
        var record = StrikeRecord()
        func strike(at second: Int) -> Bool { record.add(at: .seconds(second), rule: rule) }
        #expect([0, 400, 800, 1200].map(strike) == [false, false, false, false])
        record.forgive()
        #expect([2000, 2010, 2020].map(strike) == [false, false, true])
        record.forgive()
        #expect(!strike(at: 2030))
    }

    /// What `LaneTenure` finds at the end of looks that come every 100 ms, the lane busy all the time.
    private func held(_ looks: [(plugin: String?, answers: UInt64, othersWait: Bool)], cpuShare: Int64 = 100) -> Duration? {
        var tenure = LaneTenure()
        var answers: UInt64 = 0
        return looks.enumerated().reduce(nil) { _, look in
            answers += look.element.answers
            return tenure.note(
                LaneTenure.Look(
                    time: UInt64(look.offset) * 100_000_000, cpu: .milliseconds(Int64(look.offset) * cpuShare),
                    plugin: look.element.plugin, answerCount: answers, othersWait: look.element.othersWait))
        }
    }

    @Test func `runs that leave next to nothing of a lane to those who wait are found, though each is short enough`() {
        #expect(held(Array(repeating: ("p", 0, true), count: 9)) == nil)
        #expect(held(Array(repeating: ("p", 1, true), count: 11)) == .seconds(1))
        #expect(held(Array(repeating: ("p", 1, true), count: 50)) == .seconds(2), "of the last two seconds only")
        #expect(held(Array(repeating: ("p", 1, true), count: 50), cpuShare: 30) != nil, "a loaded machine only takes longer")
        // Between two of its runs, every other look finds that somebody else's many were answered.
        #expect(held((0..<61).map { ("p", $0 % 2 == 0 ? 0 : 50, true) }) != nil)
    }

    @Test func `nobody is found while nobody waits, while runs are short, while others run, or while the machine is busy with others`() {
        #expect(held(Array(repeating: ("p", 1, false), count: 50)) == nil)
        #expect(held(Array(repeating: ("p", 500, true), count: 50)) == nil)
        #expect(held((0..<50).map { ($0 % 2 == 0 ? "p" : "q", 1, true) }) == nil)
        #expect(held(Array(repeating: (nil, 0, true), count: 50)) == nil)
        #expect(held(Array(repeating: ("p", 1, true), count: 500), cpuShare: 5) == nil, "within ten seconds it hardly ran")
    }

    private let limits = LaneWatch.Limits(overrun: .milliseconds(750), silence: .seconds(3600))

    private func running(_ sequence: UInt64) -> LanePage.Reading {
        LanePage.Reading(sequence: sequence, task: 1, context: 7, limit: .seconds(1))
    }

    @Test func `a run that uses more CPU time than limit and margin is convicted, a longer one of many runs is not`() {
        var watch = LaneWatch()
        #expect(watch.look(at: running(3), cpu: .seconds(5), isBusy: true, limits: limits) == .fine)
        #expect(watch.look(at: running(3), cpu: .milliseconds(6_700), isBusy: true, limits: limits) == .slow(context: 7))
        #expect(
            watch.look(at: running(3), cpu: .milliseconds(6_800), isBusy: true, limits: limits)
                == .overran(CPU: .milliseconds(1_800), limit: .seconds(1)))
        #expect(watch.look(at: running(5), cpu: .milliseconds(6_900), isBusy: true, limits: limits) == .slow(context: 7))
    }

    @Test func `a lane is not convicted for the time in which nobody looked`() {
        let silence = LaneWatch.Limits(overrun: .milliseconds(750), silence: .seconds(10))
        func verdict(afterLooksAt seconds: [UInt64]) -> LaneWatch.Verdict {
            var watch = LaneWatch()
            let start = monotonicNanoseconds()
            return seconds.reduce(.fine) { _, second in
                watch.look(at: running(3), cpu: .seconds(5), isBusy: true, limits: silence, now: start + second * 1_000_000_000)
            }
        }
        #expect(verdict(afterLooksAt: [0, 1, 14]) == .slow(context: 7))  // the machine was asleep, say
        guard case .silent = verdict(afterLooksAt: Array(0...14)) else {
            Issue.record("a lane that says nothing for 14 s is silent")
            return
        }
    }

    @Test func `a lane that waits on a loaded machine is not convicted, one that stands still is`() {
        var watch = LaneWatch()
        let strict = LaneWatch.Limits(overrun: .milliseconds(750), silence: .zero)
        _ = watch.look(at: running(3), cpu: .seconds(5), isBusy: true, limits: limits)
        #expect(watch.look(at: running(3), cpu: .milliseconds(5_100), isBusy: true, limits: limits) == .slow(context: 7))
        guard case .silent = watch.look(at: running(3), cpu: .milliseconds(5_100), isBusy: true, limits: strict) else {
            Issue.record("a busy lane that uses no CPU gives no sign of life")
            return
        }
        #expect(watch.look(at: running(3), cpu: .milliseconds(5_100), isBusy: false, limits: limits) == .slow(context: 7))
    }

    @Test func `a lane that keeps the memory of what it has answered is convicted, one that still runs what was given up is not`() {
        let limits = LaneWatch.Limits(overrun: .milliseconds(750), silence: .seconds(10))
        let idle = LanePage.Reading(sequence: 4, task: 1, context: 7, limit: .seconds(20))
        let runs = LanePage.Reading(sequence: 5, task: 1, context: 7, limit: .seconds(20))
        func verdicts(_ reading: LanePage.Reading, keepsMemory: (Int) -> Bool, seconds: Int) -> [LaneWatch.Verdict] {
            var watch = LaneWatch()
            let start = monotonicNanoseconds()
            return (0...seconds).map {
                watch.look(
                    at: reading, cpu: .seconds(5), isBusy: false, keepsMemory: keepsMemory($0), limits: limits,
                    now: start + UInt64($0) * 1_000_000_000)
            }
        }
        let kept = verdicts(idle, keepsMemory: { _ in true }, seconds: 11)
        #expect(kept.dropLast().allSatisfy { $0 == .fine } && kept.last == .hoarded(.seconds(11)))
        #expect(verdicts(idle, keepsMemory: { $0 % 8 != 0 }, seconds: 40).allSatisfy { $0 == .fine })
        // Its limit, the margin and the silence: 30.75 s.
        let running = verdicts(runs, keepsMemory: { _ in true }, seconds: 31)
        #expect(running.dropLast().allSatisfy { if case .hoarded = $0 { false } else { true } } && running.last == .hoarded(.seconds(31)))
    }
}

/// A context on a lane that was never opened.
private struct BooksRig {
    let context: PluginContext

    init() throws {
        let version = PluginVersion(
            plugin: Plugin(name: "a"), source: PluginSource(name: "a", isFolder: false, files: [], manifest: nil), manifest: Manifest())
        let host = PluginHost(bus: Rig.idleBus, folder: nil, configuration: .init(lanes: .threads(count: 1)), logger: Rig.silent)
        let page = try #require(LanePage(memory: nil))
        let lane = Lane(number: 1, home: .process(0), socket: -1, page: page, area: nil, resident: nil, host: host)
        context = PluginContext(number: 1, lane: lane, version: version)
    }
}

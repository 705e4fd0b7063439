import Dispatch
import Glibc
import MoonbusEvents
import MoonbusJournal
import MoonbusSQLite
import Synchronization

/// W4: the durable journal on this disk, against an append and an fdatasync in plain Swift in the same folder. Through the whole service:
/// ``DurableBench``.
///
/// | case | what is one operation |
/// |---|---|
/// | `fsync` | 304 bytes appended to a file and synced: the floor |
/// | `append-N` | one event of N in one call, the next call when the last one is answered |
/// | `publishers-N` | one event of one of N threads, each of which waits for its answer |
/// | `settle-N` | one delivery of N in one call: acknowledgement, one emitted event, one value of state |
struct JournalBench {
    let folder: String
    /// How long each case runs.
    var time = Duration.seconds(2)

    /// - Parameter only: the cases whose names have this in them; nil: all.
    static func run(folder: String, seconds: Int, only: String?) throws -> [Measurement] {
        let bench = JournalBench(folder: folder, time: .seconds(seconds))
        let journal = try SQLiteJournal(folder: "\(folder)/calls")
        defer { journal.close() }
        let log = Subject(journal: journal)
        let cases: [(String, () throws -> Measurement)] = [
            ("fsync", bench.floor), ("append-1", { bench.append(1, log) }), ("append-32", { bench.append(32, log) }),
            ("append-256", { bench.append(256, log) }), ("append-1024", { bench.append(1_024, log) }),
            ("publishers-32", { bench.publishers(32, log) }), ("settle-32", { bench.settle(32, log) }),
            ("settle-256", { bench.settle(256, log) }),
        ]
        return try cases.filter { name, _ in only.map { name.contains($0) } ?? true }.map { try $0.1() }
    }

    static func temporaryFolder() throws -> String {
        var template = Array("/tmp/moonbus-bench-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw CommandError(.internal, "no temporary folder could be made in /tmp") }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    // MARK: Cases

    private func floor() throws -> Measurement {
        let cpu = CPUTime(lanePIDs: []).host
        let times = try Self.syncTimes(in: folder, bytes: 304, seconds: time / .seconds(1))
        return Self.measurement(
            "fsync", operations: times.count, wall: times.reduce(0, +) * 1e-6, cpu: CPUTime(lanePIDs: []).host - cpu, times: times)
    }

    /// How long each of many appends with fdatasync took, in microseconds; at least one.
    static func syncTimes(in folder: String, bytes count: Int, seconds: Double) throws -> [Double] {
        let path = "\(folder)/fsync.dat"
        let file = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw CommandError(.cannotCreate, "\(path) can't be made: \(systemReason())") }
        defer {
            close(file)
            unlink(path)
        }
        let bytes = [UInt8](repeating: 7, count: count)
        var times: [Double] = []
        let start = ContinuousClock.now
        var last = start
        repeat {
            guard Glibc.write(file, bytes, count) == count, fdatasync(file) == 0 else {
                throw CommandError(.ioError, "\(path) can't be written: \(systemReason())")
            }
            let now = ContinuousClock.now
            times.append((now - last) / .microseconds(1))
            last = now
        } while last - start < .seconds(seconds)
        return times
    }

    private func append(_ count: Int, _ log: Subject) -> Measurement {
        let events = BenchEvents()
        return measure("append-\(count)", each: count) {
            log.append((0..<count).map { events.event($0) })
        }
    }

    private func publishers(_ count: Int, _ log: Subject) -> Measurement {
        let end = ContinuousClock.now + time
        let operations = Atomic(0)
        let all = Mutex<[Double]>([])
        let cpu = CPUTime(lanePIDs: []).host
        let threads = (0..<count).map { _ in
            Publisher {
                let events = BenchEvents()
                var times: [Double] = []
                while ContinuousClock.now < end {
                    let start = ContinuousClock.now
                    log.append([events.event(1)])
                    times.append((ContinuousClock.now - start) / .microseconds(1))
                }
                operations.add(times.count, ordering: .relaxed)
                all.withLock { $0 += times }
            }
        }
        for thread in threads { thread.join() }
        let times = all.withLock { $0 }
        return Self.measurement(
            "publishers-\(count)", operations: operations.load(ordering: .relaxed), wall: time / .seconds(1),
            cpu: CPUTime(lanePIDs: []).host - cpu, times: times)
    }

    private func settle(_ count: Int, _ log: Subject) -> Measurement {
        let events = BenchEvents()
        let claimed = log.claim("bench-\(count)")
        var position = claimed.floor
        let value = JSON.null
        return measure("settle-\(count)", each: count) {
            let settlements = (0..<count).map { index in
                position += 1
                let write = StateWrite(key: "key-\(index)", value: value, version: position)
                let commit = Commit(events: [events.event(index)], state: StateChange(plugin: "bench", writes: [write]))
                return Settlement(claimed.number, .span(Span(after: position - 1, through: position)), .done, commit: commit)
            }
            log.settle(settlements)
        }
    }

    // MARK: Figures

    /// Repeats `body` until the time is over.
    private func measure(_ name: String, each count: Int, _ body: () -> Void) -> Measurement {
        for _ in 0..<20 { body() }
        var times: [Double] = []
        let cpu = CPUTime(lanePIDs: []).host
        let start = ContinuousClock.now
        var last = start
        while last - start < time {
            body()
            let now = ContinuousClock.now
            times.append((now - last) / .microseconds(1))
            last = now
        }
        return Self.measurement(
            name, operations: times.count * count, wall: (last - start) / .seconds(1), cpu: CPUTime(lanePIDs: []).host - cpu, times: times)
    }

    private static func measurement(_ name: String, operations: Int, wall: Double, cpu: Double, times: [Double]) -> Measurement {
        let sorted = times.sorted()
        func quantile(_ part: Double) -> Double { sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))] }
        return Measurement(
            name: name, operations: operations, wall: wall, cpu: cpu, floor: nil,
            extra: [("p50us", quantile(0.5)), ("p99us", quantile(0.99)), ("wall_rate", Double(operations) / wall)])
    }

    /// A journal whose calls wait for their answers.
    struct Subject: Sendable {
        let journal: SQLiteJournal

        func append(_ events: [Event]) {
            wait { done in journal.append(events) { done($0.map { _ in }) } }
        }

        func settle(_ settlements: [Settlement]) {
            wait { done in journal.settle(settlements) { done($0.map { _ in }) } }
        }

        func claim(_ name: String) -> Claimed {
            let claimed = Mutex<Claimed?>(nil)
            wait { done in
                journal.claim([Claim(name: name)]) { result in
                    claimed.withLock { $0 = try? result.get()[0] }
                    done(result.map { _ in })
                }
            }
            guard let claimed = claimed.withLock({ $0 }) else { preconditionFailure("the journal answered nothing") }
            return claimed
        }

        private func wait(_ call: (@escaping @Sendable (Result<Void, JournalError>) -> Void) -> Void) {
            let semaphore = DispatchSemaphore(value: 0)
            call { result in
                if case .failure(let error) = result { preconditionFailure("the journal failed under the benchmark: \(error)") }
                semaphore.signal()
            }
            semaphore.wait()
        }
    }
}

/// A thread that publishes.
private final class Publisher: Sendable {
    private let thread: pthread_t

    init(_ body: @escaping @Sendable () -> Void) {
        let box = Unmanaged.passRetained(Box(body))
        var started = pthread_t()
        let status = pthread_create(
            &started, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body()
                return nil
            }, box.toOpaque())
        precondition(status == 0, "no thread left for a publisher: raise the limit of processes")
        thread = started
    }

    func join() {
        pthread_join(thread, nil)
    }

    private final class Box: Sendable {
        let body: @Sendable () -> Void

        init(_ body: @escaping @Sendable () -> Void) {
            self.body = body
        }
    }
}

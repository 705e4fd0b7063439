import Glibc
import MoonbusEvents
import NIOCore
import NIOHTTP1

/// What `moonbus emit` is to do.
struct EmissionPlan {
    var type: EventType
    var input: EventInput
    var key: String?
    var subject: String?
    /// How long to wait for results; nil: not at all.
    var wait: Duration?
    /// Events a second; nil: as fast as they are taken.
    var rate: Double?
    var count: Int
    /// One event from the command line; `key` is then a value, not the name of a field.
    var isSingle: Bool
    var json: Bool
}

/// The sending of many events: read, put in batches, sent, tried again while the service is full.
///
/// Each event gets its id here. A batch whose answer was lost can so be sent again: what was recorded is then a duplicate.
struct Emission {
    /// Events of a batch…
    private static let batchCount = 256
    /// …and its bytes: safely below what the service takes.
    private static let batchBytes = 768 << 10
    /// How long a full or stopping service is tried again.
    private static let patience = Duration.seconds(60)
    /// How long a service may wait that waits of its own accord (`http.wait`).
    private static let waitMax = Duration.seconds(60)

    private var plan: EmissionPlan
    private let client: ServiceClient
    private var progress: Progress
    /// One event, or few enough to read what became of each.
    private let showsReceipts: Bool
    private let source = "/moonbus/emit"

    init(_ plan: EmissionPlan, _ client: ServiceClient) {
        self.plan = plan
        self.client = client
        showsReceipts = plan.isSingle && (plan.count < 1_000 || plan.count == .max)
        progress = Progress(label: "\(plan.type)", isShown: !showsReceipts)
    }

    /// Sends everything.
    ///
    /// - Throws: ``CommandError``: 65 for bad input, with how much was sent before it, 75 when the service stays full.
    mutating func run() async throws {
        var failed = Failed()
        do {
            while plan.count > 0 {
                let batch = try nextBatch()
                if batch.isEmpty { break }
                try await send(batch, &failed)
                progress.add(batch.count, fraction: plan.input.fraction)
                try await keepToRate()
            }
        } catch {
            progress.finish()
            guard let error = error as? CommandError, progress.count > 0 else { throw error }
            throw CommandError(error.code, "\(error.message) (\(counted(progress.count, "event was", "events were")) sent before)")
        }
        progress.finish()
        if !plan.isSingle { summarize() }
        if let reason = failed.reason { throw CommandError(.found, reason) }
    }

    /// Deliveries that ended badly, as far as they were waited for.
    private struct Failed {
        /// Of recorded events: each is a dead letter.
        var kept = 0
        /// Of ephemeral ones.
        var lost = 0

        mutating func add(_ receipt: ReceiptView) {
            if receipt.isEphemeral { lost += receipt.failed } else { kept += receipt.failed }
        }

        /// What to end the command with; nil when nothing failed.
        var reason: String? {
            var parts: [String] = []
            if kept > 0 { parts.append("\(counted(kept, "delivery was", "deliveries were")) not handled: moonbus dead list says why") }
            if lost > 0 {
                parts.append(
                    "\(counted(lost, "delivery", "deliveries")) of ephemeral events \(lost == 1 ? "was" : "were") not handled and "
                        + "\(lost == 1 ? "is" : "are") lost: what is ephemeral is tried no more and leaves no dead letter")
            }
            return parts.isEmpty ? nil : parts.joined(separator: "; ")
        }
    }

    private mutating func nextBatch() throws -> [Event] {
        // With a rate, a batch is at most a tenth of a second's worth, so that the stream is even.
        let most = min(plan.rate.map { max(1, Int($0 / 10)) } ?? Self.batchCount, Self.batchCount, plan.count)
        var batch: [Event] = []
        var size = 0
        while batch.count < most, size < Self.batchBytes, let item = try plan.input.next() {
            let event = try event(item)
            size += event.recordSize
            batch.append(event)
        }
        plan.count -= batch.count
        return batch
    }

    private func event(_ item: EventInput.Item) throws -> Event {
        var key = plan.key
        if let name = plan.key, !plan.isSingle {
            switch item.data?.value(at: [name]) {
            case .string(let text)? where !text.isEmpty: key = text
            case .integer(let number)?: key = "\(number)"
            default:
                throw CommandError(
                    .badData, "line \(item.line): '\(name)' is not there, or is no text and no whole number, so it can't be the key")
            }
        }
        do throws(EventError) {
            return try Event(type: plan.type, data: item.data, source: source, subject: plan.subject, key: key)
        } catch {
            throw CommandError(.badData, "line \(item.line): \(error.message)")
        }
    }

    /// Sends a batch, shows what became of it and counts what failed.
    private func send(_ batch: [Event], _ failed: inout Failed) async throws {
        var body = ByteBuffer()
        for (index, event) in batch.enumerated() {
            body.writeStaticString(index == 0 ? "[" : ",")
            body.writeBytes(CloudEvent.encode(event))
        }
        body.writeStaticString("]")
        let target = plan.wait.map { "/events?wait=\(DurationText.format($0))" } ?? "/events"
        let clock = ContinuousClock()
        let deadline = clock.now + Self.patience
        while true {
            let answer: ServiceClient.Answer
            do {
                answer = try await client.send(
                    .POST, target, contentType: "application/cloudevents-batch+json", body: body, wait: plan.wait ?? Self.waitMax)
            } catch let error as CommandError where error.code == .tryLater {
                let what = batch.count == 1 ? "the event was" : "the last \(batch.count) events were"
                throw CommandError(error.code, "\(error.message): whether \(what) recorded is not known")
            }
            if answer.status < 300 { return show(answer, &failed) }
            let problem = ProblemAnswer(answer)
            guard problem.status == 429, clock.now < deadline else { throw problem.error }
            try await Task.sleep(for: .seconds(problem.retryAfter ?? 1))
        }
    }

    private func show(_ answer: ServiceClient.Answer, _ failed: inout Failed) {
        let receipts = answer.body.withUnsafeReadableBytes { bytes in (try? JSON(validating: bytes))?.value.array ?? [] }
        for receipt in receipts {
            let view = ReceiptView(receipt, waited: plan.wait)
            if plan.json {
                Terminal.standardOutput.print(JSON(receipt).text)
            } else if showsReceipts {
                Terminal.standardOutput.print(view.text)
            }
            failed.add(view)
        }
    }

    private func keepToRate() async throws {
        guard let rate = plan.rate else { return }
        let ahead = Double(progress.count) / rate - progress.seconds
        if ahead > 0 { try await Task.sleep(for: .seconds(ahead)) }
    }

    private func summarize() {
        if plan.json { return }
        let rate = Double(progress.count) / max(progress.seconds, 0.001)
        Terminal.standardError.print("\(counted(progress.count, "event")) in \(seconds(progress.seconds)), \(Int(rate)) a second")
    }
}

/// A number of seconds for people: `0.42 s`.
func seconds(_ value: Double) -> String { "\((value * 100).rounded() / 100) s" }

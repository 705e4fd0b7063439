import Glibc

/// Makes one request again and again over several connections, from one thread of its own.
///
/// Raw sockets and no parser but for what our own answers look like: a client that costs as much as the service would be most of what is
/// measured. Its processor time is reported, so that it can be taken off the process's.
struct HTTPLoad: Sendable {
    /// What was seen.
    struct Report: Sendable {
        /// How long each request took, in microseconds, sorted.
        var times: [Double]
        /// Of the load generator's thread, in seconds.
        var cpu: Double

        /// The time within which this share of the requests was answered.
        func quantile(_ share: Double) -> Double {
            times.isEmpty ? 0 : times[min(times.count - 1, Int(Double(times.count) * share))]
        }
    }

    let port: Int
    let connections: Int
    let request: [UInt8]
    /// What a right answer has in it.
    let expected: [UInt8]
    /// The status of a right answer.
    var status = "200"
    /// Requests under way on each connection, when they are not paced.
    var window = 1

    /// Sends the next request of a connection when the last one is answered.
    func saturate(_ count: Int) async throws -> Report {
        try await onThread { try run(count) { _, _ in nil } }
    }

    /// Sends `rate` requests a second whatever comes back, and counts from when each was due: who answers late is not asked later.
    func pace(_ count: Int, rate: Double) async throws -> Report {
        try await onThread { try run(count) { start, index in start + Double(index) * 1e6 / rate } }
    }

    /// - Parameter due: when the request with this index is due, in microseconds; nil: as soon as its connection is free.
    private func run(_ count: Int, due: (_ start: Double, _ index: Int) -> Double?) throws -> Report {
        let clients = try (0..<connections).map { _ in
            try HTTPLoadClient(port: port, request: request, expected: expected, status: status, window: window)
        }
        let cpu = seconds(CLOCK_THREAD_CPUTIME_ID)
        let start = seconds(CLOCK_MONOTONIC) * 1e6
        let isPaced = due(start, 0) != nil
        var (sent, times) = (0, [Double]())
        times.reserveCapacity(count)
        if !isPaced {
            for client in clients where sent < count {
                let first = min(window, count - sent)
                try client.send(first, at: seconds(CLOCK_MONOTONIC) * 1e6)
                sent += first
            }
        }
        var polls = clients.map { pollfd(fd: $0.socket, events: Int16(POLLIN), revents: 0) }
        while times.count < count {
            while sent < count, let when = due(start, sent), when <= seconds(CLOCK_MONOTONIC) * 1e6 {
                try clients[sent % clients.count].send(at: when)
                sent += 1
            }
            let next = sent < count ? due(start, sent) : nil
            guard try wait(&polls, until: next) else { continue }
            for index in polls.indices where polls[index].revents != 0 {
                let answered = try clients[index].receive(into: &times)
                let more = isPaced ? 0 : min(answered, count - sent)
                if more > 0 { try clients[index].send(more, at: seconds(CLOCK_MONOTONIC) * 1e6) }
                sent += more
            }
        }
        return Report(times: times.sorted(), cpu: seconds(CLOCK_THREAD_CPUTIME_ID) - cpu)
    }

    /// - Returns: false when the time came first.
    private func wait(_ polls: inout [pollfd], until time: Double?) throws -> Bool {
        // Poll counts in milliseconds: for less than that this thread goes round, on a core that it needs for itself.
        let rest = time.map { ($0 - seconds(CLOCK_MONOTONIC) * 1e6) / 1_000 }
        let ready = poll(&polls, nfds_t(polls.count), rest.map { $0 < 1 ? 0 : Int32($0) } ?? HTTPLoadClient.patience)
        guard ready > 0 || time != nil else { throw CommandError(.internal, "the service does not answer") }
        return ready > 0
    }
}

private func seconds(_ clock: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(clock, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// What a new thread runs.
private final class Work: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// Runs what blocks on a thread of its own: those of Swift's pool are for the service.
private func onThread<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        var thread = pthread_t()
        let retained = Unmanaged.passRetained(Work { continuation.resume(with: Result(catching: work)) })
        let status = pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, retained.toOpaque())
        guard status == 0 else {
            retained.release()
            return continuation.resume(throwing: CommandError(.internal, "no thread for the load: \(String(cString: strerror(status)))"))
        }
        pthread_detach(thread)
    }
}

import Synchronization

/// Gives every reader its own copy of each notice.
final class Noticeboard: Sendable {
    private struct Readers {
        var next = 0
        var readers: [Int: AsyncStream<PluginNotice>.Continuation] = [:]
    }

    private let readers = Mutex(Readers())

    func stream(buffer: Int) -> AsyncStream<PluginNotice> {
        let (stream, continuation) = AsyncStream<PluginNotice>.makeStream(bufferingPolicy: .bufferingNewest(max(1, buffer)))
        let key = readers.withLock { readers in
            readers.next += 1
            readers.readers[readers.next] = continuation
            return readers.next
        }
        continuation.onTermination = { [weak self] _ in self?.readers.withLock { $0.readers[key] = nil } }
        return stream
    }

    func post(_ notice: PluginNotice) {
        for reader in readers.withLock({ Array($0.readers.values) }) { reader.yield(notice) }
    }

    func finish() {
        for reader in readers.withLock({ Array($0.readers.values) }) { reader.finish() }
    }
}

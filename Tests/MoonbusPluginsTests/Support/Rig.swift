import Logging
import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusPlugins
import MoonbusTesting

/// A bus, a host with its lanes, and optionally a folder of plugins: started, and stopped again when the test is over.
final class Rig: Sendable {
    let bus: EventBus
    let host: PluginHost
    let files: TemporaryFolder?
    private let notices: NoticeReader

    private init(bus: EventBus, host: PluginHost, files: TemporaryFolder?) {
        self.bus = bus
        self.host = host
        self.files = files
        notices = NoticeReader(host)
    }

    static let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// A bus that is not started.
    static var idleBus: EventBus { EventBus(journal: InMemoryJournal(), logger: silent) }

    /// Runs `body` with everything started, and stops it whatever happens.
    static func run(
        lanes: PluginHostConfiguration.Lanes = .threads(count: 2), files: TemporaryFolder? = nil, clock: ManualClock? = nil,
        configure: (inout PluginHostConfiguration) -> Void = { _ in }, _ body: (Rig) async throws -> Void
    ) async throws {
        var configuration = PluginHostConfiguration(lanes: lanes)
        configure(&configuration)
        let bus = EventBus(
            journal: InMemoryJournal(limits: .init(), clock: clock ?? SystemClock()), logger: silent, clock: clock ?? SystemClock())
        clock?.drive(next: { bus.owner.nextDeadline() }, run: { bus.owner.catchUp() })
        let host = PluginHost(bus: bus, folder: files?.path, configuration: configuration, logger: silent)
        let rig = Rig(bus: bus, host: host, files: files)
        try await bus.start()
        do {
            try await host.start()
            try await body(rig)
        } catch {
            await host.stop(within: .seconds(2))
            await bus.stop(within: .milliseconds(100))
            throw error
        }
        await host.stop(within: .seconds(2))
        await bus.stop(within: .milliseconds(100))
    }

    /// Emits and waits for the handlers.
    @discardableResult
    func settle(_ type: String, _ data: JSONValue = .null, subject: String? = nil) async throws -> Receipt {
        try await bus.emit(Event(type: EventType(type), data: JSON(data), subject: subject), until: .settled, within: .seconds(20))
    }

    /// What the first handler of an event returned.
    func answer(_ type: String, _ data: JSONValue = .null) async throws -> JSONValue? {
        try await settle(type, data).results.first?.result?.value
    }

    /// The next notice that fits; those before it are passed over.
    func notice(where fits: @Sendable (PluginNotice) -> Bool) async -> PluginNotice? { await notices.next(where: fits) }

    /// Waits until a version of the plugin serves, or is refused.
    func loaded(_ name: String) async throws {
        let notice = await notice { notice in
            guard notice.plugin == name else { return false }
            switch notice.kind {
            case .loaded, .reloaded, .restarted, .failed: return true
            default: return false
            }
        }
        if case .failed(let error, _)? = notice?.kind { throw error }
    }

    func status(_ name: String) async -> PluginStatus? { await host.plugins().first { $0.name == name } }
}

/// Reads a host's notices one after the other.
private actor NoticeReader {
    private var iterator: AsyncStream<PluginNotice>.Iterator

    init(_ host: PluginHost) { iterator = host.notices(buffer: 10_000).makeAsyncIterator() }

    func next(where fits: @Sendable (PluginNotice) -> Bool) async -> PluginNotice? {
        while let notice = await nextNotice() {
            if fits(notice) { return notice }
        }
        return nil
    }

    private func nextNotice() async -> PluginNotice? {
        var iterator = iterator
        defer { self.iterator = iterator }
        return await iterator.next(isolation: self)
    }
}

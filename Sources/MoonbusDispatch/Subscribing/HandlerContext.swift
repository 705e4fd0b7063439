public import MoonbusEvents
internal import MoonbusJournal
internal import Synchronization

/// What a Swift handler has beside its event: effects to stage, its own state, and how this run came about.
///
/// Staged effects are committed together with the acknowledgement when the handler returns. All methods may be called from any task that
/// the handler starts, but not after it has returned: what is staged then is lost.
public final class HandlerContext: Sendable {
    /// Counts from 1; a run that was lost through no fault of the handler is not counted.
    public let attempt: Int
    /// The time of this run.
    public let now: Timestamp
    private let bus: EventBus
    private let plugin: String
    private let identity: Identity
    private let staged = Mutex(Staged())

    private struct Staged {
        var effects: [Effect] = []
        var emitCount = 0
        var values: [String: JSON?] = [:]
        var versions: [String: UInt64] = [:]
    }

    init(bus: EventBus, plugin: String, delivery: Delivery) {
        self.bus = bus
        self.plugin = plugin
        attempt = Int(delivery.attempt)
        now = delivery.now
        identity = delivery.identity
    }

    /// Stages an event. [effect]
    ///
    /// - Returns: its id: the one that is given, or one that is the same for each attempt of this delivery.
    @discardableResult
    public func emit(_ type: EventType, data: JSON? = nil, options: EmitOptions = .init()) -> String {
        staged.withLock { staged in
            let id = options.id ?? identity.eventID(staged.emitCount)
            staged.emitCount += 1
            staged.effects.append(.emit(type: type, data: data, options: options))
            return id
        }
    }

    /// Stages a value of this subscription's own state; seen at once by ``value(of:)``. [effect]
    ///
    /// - Parameter ttl: after this time the value is absent again.
    public func set(_ key: String, to value: JSON, ttl: Duration? = nil) {
        staged.withLock { staged in
            staged.effects.append(.set(key: key, value: value, expiry: ttl.map { now + $0 }))
            staged.values[key] = .some(value)
        }
    }

    /// Stages the absence of a value. [effect]
    public func delete(_ key: String) {
        staged.withLock { staged in
            staged.effects.append(.delete(key: key))
            staged.values[key] = .some(nil)
        }
    }

    /// Reads a value of this subscription's own state, as this run sees it: staged writes included. [call]
    ///
    /// If somebody else writes the key before this run is committed, the handler runs again.
    ///
    /// - Throws: ``JournalError`` if the journal cannot be read.
    public func value(of key: String) async throws -> JSON? {
        if let known = staged.withLock({ $0.values[key] }) { return known }
        guard case .state(let entries) = try await bus.ask(.state(plugin: plugin, key: key, now: now)) else { return nil }
        return staged.withLock { staged in
            if let known = staged.values[key] { return known }
            if staged.versions[key] == nil {
                staged.versions[key] = entries.first?.version ?? 0
                staged.effects.append(.read(key: key, version: entries.first?.version ?? 0))
            }
            staged.values[key] = .some(entries.first?.value)
            return entries.first?.value
        }
    }

    /// Makes the error that ends the handling for good: `throw context.reject("no such customer")`. The event becomes a dead letter at once.
    public func reject(_ reason: String) -> any Error {
        HandlerVerdict.reject(reason)
    }

    /// Makes the error that postpones the handling: `throw context.retry(after: .seconds(5))`. It counts as no attempt.
    public func retry(after delay: Duration) -> any Error {
        HandlerVerdict.retry(delay)
    }

    /// What was staged; called once, when the handler has returned.
    func takeEffects() -> [Effect] {
        staged.withLock { $0.effects }
    }
}

/// An end of a handler that is neither success nor failure.
enum HandlerVerdict: Error {
    case reject(String)
    case retry(Duration)
}

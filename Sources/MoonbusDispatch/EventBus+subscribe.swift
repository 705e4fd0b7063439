public import MoonbusEvents
internal import MoonbusJournal

extension EventBus {
    /// Subscribes a Swift handler under a durable name.
    ///
    /// The handler is a transaction: what it emits and stores through its ``HandlerContext`` is committed together with the acknowledgement
    /// when it returns. If it throws, nothing of that happens, and the event comes again by the policy's retries. What it returns is its
    /// result, for emitters that wait until `.settled`.
    ///
    /// Handlers run in tasks of the shared pool, at most ``SubscriptionPolicy/concurrency`` at once (1,000 if that is not set).
    ///
    /// - Parameters:
    ///   - pattern: the types that it is for.
    ///   - name: 1 to 255 bytes; what ties it to its position over restarts. Its state is kept under this name, too.
    ///   - filter: conditions on the content.
    /// - Throws: ``SubscribeError`` if the name is taken or empty, or the bus is not running.
    @discardableResult
    public func subscribe(
        _ pattern: EventPattern, name: String, where filter: Filter? = nil, policy: SubscriptionPolicy = .init(),
        handler: @escaping @Sendable (Event, HandlerContext) async throws -> JSON?
    ) async throws -> Subscription {
        let spec = SubscriptionSpec(name: name, plugin: name, trigger: .events(pattern, filter), handler: 0, policy: policy)
        let answer = await owner.perform { () -> Result<Void, SubscribeError> in
            let endpoint = TaskEndpoint(bus: self, plugin: name, limit: min(policy.concurrency, 1_000), handler: handler)
            return Result { () throws(SubscribeError) in try self.dispatcher.add(plugin: name, spec: spec, endpoint: endpoint) }
        }
        guard let answer else { throw SubscribeError(.stopped, "subscription '\(name)': the bus is not running") }
        try answer.get()
        return Subscription(name: name)
    }

    /// Ends a subscription for good: what it is owed is forgotten, what runs may finish. Unknown ones are ignored.
    public func unsubscribe(_ subscription: Subscription) async {
        await owner.perform { self.dispatcher.remove(plugin: subscription.name) }
    }

    /// Every event that is recorded from now on and matches, in order.
    ///
    ///     for await event in bus.events(matching: EventPattern("orders.>")) { … }
    ///
    /// Not durable: a view, not a subscription. A reader that is slower than the bus skips events, never silently: in their place it gets one
    /// event of type `moonbus.skipped` whose data is `{"count": n}`.
    ///
    /// - Parameter buffer: how many events wait for the reader; at least 1.
    public func events(matching pattern: EventPattern, buffer: Int = 1_024) -> EventSequence {
        EventSequence(bus: self, pattern: pattern, limit: max(1, buffer))
    }

    /// Whether events of its type are ephemeral: never journaled, and each subscription gets them at most once.
    package func isEphemeral(_ event: Event) -> Bool { dispatcher.ephemeral.contains(event) }
}

/// A subscription that a Swift handler serves.
public struct Subscription: Sendable, Hashable {
    /// Its durable name.
    public let name: String
}

/// Why a subscription was refused.
public struct SubscribeError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What a program may act on.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        /// The code's name, e.g. "nameTaken".
        public let description: String

        private init(_ name: String) {
            description = name
        }

        /// Another subscription has this name.
        public static let nameTaken = Code("nameTaken")
        /// The name is empty or longer than 255 bytes, or given twice.
        public static let badName = Code("badName")
        /// The bus is not running.
        public static let stopped = Code("stopped")
    }

    /// What a program may act on.
    public let code: Code
    /// What happened, to what, and what to do.
    public let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// Code and message.
    public var description: String { "\(code): \(message)" }
}

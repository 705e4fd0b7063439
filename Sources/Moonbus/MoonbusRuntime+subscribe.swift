extension MoonbusRuntime {
    /// Subscribes a handler that takes events as they are.
    ///
    /// The handler is a transaction: what it emits and stores through its context is committed together with the acknowledgement when it
    /// returns, or not at all. What it returns is its result. A handler that throws is tried again by the policy.
    ///
    /// - Parameters:
    ///   - pattern: types, with `*` for one token and `>` for the rest.
    ///   - name: durable; ties the subscription to its place in the journal.
    /// - Throws: ``EventError`` for a bad pattern, ``SubscribeError`` when the name is taken or the runtime has ended.
    @discardableResult
    public func subscribe(
        _ pattern: String, name: String, where filter: Filter? = nil, policy: SubscriptionPolicy = .init(),
        handler: @escaping @Sendable (Event, HandlerContext) async throws -> JSON?
    ) async throws -> Subscription {
        let pattern = try EventPattern(pattern)
        await whenSubscribing()
        return try await bus.subscribe(pattern, name: name, where: filter, policy: policy, handler: handler)
    }

    /// Subscribes a handler that takes the events' data as a Swift value and returns nothing.
    ///
    /// Data that can't be decoded can't be decoded the next time either: such an event becomes a dead letter at once, with the reason.
    ///
    ///     try await runtime.subscribe("orders.*.created", name: "audit", of: Order.self) { order, context in … }
    @discardableResult
    public func subscribe<Data: Decodable & Sendable>(
        _ pattern: String, name: String, of type: Data.Type, where filter: Filter? = nil, policy: SubscriptionPolicy = .init(),
        handler: @escaping @Sendable (Data, HandlerContext) async throws -> Void
    ) async throws -> Subscription {
        try await subscribe(pattern, name: name, where: filter, policy: policy) { event, context in
            try await handler(try data(of: event, as: type, context), context)
            return nil
        }
    }

    /// Subscribes a handler that takes the events' data as a Swift value and answers with one: for emitters that wait until `.settled`.
    @discardableResult
    public func subscribe<Data: Decodable & Sendable, Answer: Encodable & Sendable>(
        _ pattern: String, name: String, of type: Data.Type, answering: Answer.Type = Answer.self, where filter: Filter? = nil,
        policy: SubscriptionPolicy = .init(), handler: @escaping @Sendable (Data, HandlerContext) async throws -> Answer
    ) async throws -> Subscription {
        try await subscribe(pattern, name: name, where: filter, policy: policy) { event, context in
            try JSON(encoding: try await handler(try data(of: event, as: type, context), context))
        }
    }

    /// Ends a subscription for good: what it is owed is forgotten.
    public func unsubscribe(_ subscription: Subscription) async { await bus.unsubscribe(subscription) }

    /// Every event that is recorded from now on and matches; see ``EventBus/events(matching:buffer:)``.
    ///
    /// - Throws: ``EventError`` for a bad pattern.
    public func events(matching pattern: String, buffer: Int = 1_024) throws -> EventSequence {
        bus.events(matching: try EventPattern(pattern), buffer: buffer)
    }
}

private func data<Data: Decodable>(of event: Event, as type: Data.Type, _ context: HandlerContext) throws -> Data {
    do {
        return try (event.data ?? .null).decode(type)
    } catch {
        throw context.reject("the data of \(event.typeText) is no \(Data.self): \(error)")
    }
}

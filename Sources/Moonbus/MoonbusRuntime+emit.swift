extension MoonbusRuntime {
    /// Emits an event.
    ///
    /// - Parameters:
    ///   - stage: `.recorded`, or `.settled` to get the handlers' results in the receipt.
    ///   - limit: the longest wait; nil: as long as it takes to be recorded, 30 s for results.
    /// - Throws: ``EmitError``; nothing was recorded then.
    @discardableResult
    public func emit(_ event: Event, until stage: EmitStage = .recorded, within limit: Duration? = nil) async throws -> Receipt {
        await whenRunning()
        return try await bus.emit(event, until: stage, within: limit)
    }

    /// Emits an event whose data is a Swift value.
    ///
    ///     try await runtime.emit("orders.eu.created", Order(id: "o-7", total: 12), subject: "o-7")
    ///
    /// - Parameters:
    ///   - type: dotted words, 1 to 255 bytes.
    ///   - data: anything that can be encoded, at most 1 MiB of JSON.
    ///   - subject: what the event is about; also its ordering key unless `key` is given.
    ///   - key: events with the same key reach a subscription in order.
    ///   - id: nil makes a fresh one.
    /// - Throws: ``EmitError``, ``EventError`` for a type or attribute that can't be, `EncodingError`.
    @discardableResult
    public func emit(
        _ type: String, _ data: some Encodable & Sendable, subject: String? = nil, key: String? = nil, id: String? = nil,
        until stage: EmitStage = .recorded, within limit: Duration? = nil
    ) async throws -> Receipt {
        let event = try Event(type: EventType(type), data: JSON(encoding: data), id: id, subject: subject, key: key)
        return try await emit(event, until: stage, within: limit)
    }

    /// Emits an event without data.
    @discardableResult
    public func emit(
        _ type: String, subject: String? = nil, key: String? = nil, until stage: EmitStage = .recorded, within limit: Duration? = nil
    ) async throws -> Receipt {
        try await emit(Event(type: EventType(type), subject: subject, key: key), until: stage, within: limit)
    }
}

extension HandlerContext {
    /// Stages an event whose data is a Swift value. [effect]
    ///
    /// - Returns: its id.
    /// - Throws: ``EventError`` or `EncodingError`.
    @discardableResult
    public func emit(_ type: String, _ data: some Encodable) throws -> String { emit(try EventType(type), data: try JSON(encoding: data)) }
}

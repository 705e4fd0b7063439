import MoonbusDispatch
import MoonbusEvents
import NIOCore

extension Routes {
    /// `POST /events…`: reads the events, gives them to the bus, and answers once they are recorded, or settled with `?wait=`.
    func emit(_ request: Request, _ options: EmitTarget, _ body: ByteBuffer, _ exchange: Exchange) {
        let events: Emitted
        do throws(Problem) {
            events = try Emitted(request, options, body)
        } catch {
            return exchange.answer(error)
        }
        // The answer to a batch is a list even if the batch has one event.
        let isBatch = events.isBatch
        if isBatch, events.events.isEmpty { return exchange.answer(.json(.accepted, ByteBuffer(staticString: "[]"))) }
        guard let wait = options.wait else {
            // Called on the owner thread, like everything that answers an exchange.
            return bus.submit(events.events, settled: nil) { exchange.answer(recorded: $0, isBatch: isBatch) }
        }
        bus.ask(
            events.events, within: wait, settled: { exchange.answer(settled: $0, isBatch: isBatch) },
            refused: { exchange.answer(Problem($0)) })
    }
}

/// The events of one request.
private struct Emitted {
    let events: [Event]
    let isBatch: Bool

    /// - Throws: ``Problem``: 415 for a media type that is not JSON, 400 with the place for a body that is no event, 413 for one too large.
    init(_ request: Request, _ options: EmitTarget, _ body: ByteBuffer) throws(Problem) {
        let mediaType = request.mediaType
        guard options.type != nil || request.isBinaryEvent || body.readableBytes > 0 else {
            throw Problem(
                EventError(.badEvent, "the body is empty: without a type in the path it says which event; POST /events/{type} needs none"))
        }
        if let type = options.type {
            try requireJSON(mediaType)
            events = [try read(body) { bytes throws(EventError) in try event(type, options, request.traceparent, bytes) }]
            isBatch = false
        } else if request.isBinaryEvent {
            let fields = request.headers.map { ($0.name, $0.value) }
            events = [try read(body) { bytes throws(EventError) in try CloudEvent.decode(headers: fields, body: bytes) }]
            isBatch = false
        } else if mediaType == "application/cloudevents-batch+json" {
            events = try read(body) { bytes throws(EventError) in try CloudEvent.decode(batch: bytes) }
            isBatch = true
        } else {
            let isStrict = mediaType == "application/cloudevents+json"
            if !isStrict { try requireJSON(mediaType) }
            events = [try read(body) { bytes throws(EventError) in try CloudEvent.decode(structured: bytes, strict: isStrict) }]
            isBatch = false
        }
    }
}

/// An event whose data is the body. An empty body is an event without data.
private func event(
    _ type: EventType, _ options: EmitTarget, _ traceparent: String?, _ body: UnsafeRawBufferPointer
) throws(EventError) -> Event {
    let data = body.isEmpty ? nil : try JSON(validating: body)
    // A broken traceparent is ignored, not refused: so says W3C, and the client may not even know that a proxy added it.
    let trace = traceparent.flatMap { TraceContext($0)?.description }
    return try Event(
        type: type, data: data, id: options.id, source: options.source ?? Event.defaultSource, subject: options.subject, key: options.key,
        traceparent: trace)
}

private func read<Value>(
    _ body: ByteBuffer, _ decode: (UnsafeRawBufferPointer) throws(EventError) -> Value
) throws(Problem) -> Value {
    var outcome: Result<Value, EventError> = .failure(EventError(.badJSON, ""))
    body.withUnsafeReadableBytes { bytes in
        do throws(EventError) {
            outcome = .success(try decode(bytes))
        } catch {
            outcome = .failure(error)
        }
    }
    do throws(EventError) {
        return try outcome.get()
    } catch {
        throw Problem(error)
    }
}

/// Refuses a body that isn't said to be JSON. A body without a type is taken for what it must be, and so is a form's type: that is
/// what `curl -d` says of any body, and a form of a web page doesn't get past the check of `Origin`.
private func requireJSON(_ mediaType: String?) throws(Problem) {
    switch mediaType {
    case nil, "application/json", "application/x-www-form-urlencoded": return
    case .some(let type) where type.hasSuffix("+json"): return
    case .some(let type):
        throw Problem(
            .badMediaType, "'\(type.prefix(100))' is not JSON",
            remedy: "send application/json, or a CloudEvent as application/cloudevents+json or application/cloudevents-batch+json")
    }
}

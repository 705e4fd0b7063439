/// Events as CloudEvents 1.0: the JSON format (structured, batch) and the headers of the HTTP binding (binary).
///
/// | attribute | here |
/// |---|---|
/// | `specversion` | `1.0`; anything else is refused |
/// | `id`, `source`, `type`, `subject`, `time` | as CloudEvents says |
/// | `partitionkey`, `traceparent` | CloudEvents' own extensions |
/// | `causeid`, `hops` | ours: the event whose handling made this one; how many handlings lie between it and the first one |
/// | `datacontenttype` | a JSON type; `application/json`, the default, is not kept |
/// | `dataschema`, other extensions | kept in ``Event/extensions`` |
/// | `data` | any JSON; `data_base64` is refused |
///
/// Pure: bytes in, values out. Origin: CloudEvents 1.0.2, "JSON Event Format" and "HTTP Protocol Binding".
public enum CloudEvent {
    /// How large a structured event may be, white space included: the data's limit with room for attributes.
    public static let sizeMax = EventRecord.dataSizeMax + EventRecord.extensionsSizeMax + (64 << 10)
    /// How large a batch may be.
    public static let batchSizeMax = 4 << 20
    /// How many events a batch may have.
    public static let batchCountMax = 10_000

    /// Reads an event in the JSON format.
    ///
    /// - Parameters:
    ///   - bytes: a JSON object.
    ///   - strict: as for content type `application/cloudevents+json`: `specversion`, `id`, `source` and `type` must be there.
    ///     Otherwise only `type` must; a missing id is made, a missing source is `source`.
    ///   - source: of events that name none.
    /// - Throws: ``EventError``: `.badJSON`, `.badEvent`, `.tooDeep`, `.tooLarge`, `.badType` or `.badAttribute`, naming the attribute.
    public static func decode(
        structured bytes: UnsafeRawBufferPointer, strict: Bool = true, source: String = Event.defaultSource
    ) throws(EventError) -> Event {
        let value = try JSONValidator.check(bytes, limits: JSONLimits(bytes: sizeMax), envelope: 1)
        return try event(UnsafeRawBufferPointer(rebasing: bytes[value]), strict: strict, source: source)
    }

    /// Reads events in the JSON batch format.
    ///
    /// - Parameter bytes: a JSON array of objects; may be empty.
    /// - Throws: ``EventError``, as for a single event, with the index of the event; then none of them counts.
    public static func decode(batch bytes: UnsafeRawBufferPointer) throws(EventError) -> [Event] {
        let value = try JSONValidator.check(bytes, limits: JSONLimits(bytes: batchSizeMax), envelope: 2)
        var reader = JSONReader(UnsafeRawBufferPointer(rebasing: bytes[value]))
        guard reader.take("[") else {
            throw EventError(.badEvent, "a batch is a JSON array of events, not \(reader.value().kind): put the event into [ ]")
        }
        var events: [Event] = []
        if reader.take("]") { return events }
        repeat {
            guard events.count < batchCountMax else {
                throw EventError(.tooLarge, "more than \(batchCountMax) events in one batch; send several")
            }
            do throws(EventError) {
                events.append(try event(reader.span(), strict: true, source: Event.defaultSource))
            } catch {
                throw EventError(error.code, "event [\(events.count)] of the batch: \(error.message)")
            }
        } while reader.next(before: "]")
        return events
    }

    private static func event(
        _ json: UnsafeRawBufferPointer, strict: Bool, source: String
    ) throws(EventError) -> Event {
        var draft = EventDraft()
        var reader = JSONReader(json)
        guard reader.take("{") else {
            throw EventError(
                .badEvent,
                "an event is a JSON object with \"type\" and \"data\", not \(reader.value().kind); only as the body of POST /events/{type} any JSON is data"
            )
        }
        if !reader.take("}") {
            repeat {
                let (name, isEscaped) = reader.rawString()
                _ = reader.take(":")
                try draft.set(isEscaped ? draft.keep(unescaping: name) : name, &reader)
            } while reader.next(before: "}")
        }
        return try draft.event(strict: strict, source: source)
    }
}

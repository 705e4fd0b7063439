import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusLane

/// Turns an outcome's effects into what the bus commits, and checks them again: the lane that checked them first is the one thing here
/// that may be in a stranger's hands.
struct EffectTranslation {
    /// Bounds of one delivery's effects; the lane refuses more, with the script's line, at the same bounds or below.
    private static let countMax = 10_000
    private static let keySizeMax = 512

    let version: PluginVersion

    /// - Throws: ``Fault`` `.denied` for what the manifest doesn't permit, `.error` for what is no effect.
    func effects(_ outcome: OutcomeRecord) throws(Fault) -> [Effect] {
        guard !outcome.effects.isEmpty else { return [] }
        var reader = EffectReader(outcome)
        var effects: [Effect] = []
        while let record = try next(&reader) {
            guard effects.count < Self.countMax else { throw Fault(.error, "a delivery with more than 10,000 effects") }
            effects.append(try effect(record))
        }
        return effects
    }

    private func next(_ reader: inout EffectReader) throws(Fault) -> EffectRecord? {
        do throws(FrameError) { return try reader.next() } catch { throw Fault(.error, "the lane sent an effect that is none: \(error)") }
    }

    private func effect(_ record: EffectRecord) throws(Fault) -> Effect {
        switch record {
        case .emit(let type, let data, let options):
            guard let text = String(validating: type, as: UTF8.self) else { throw Fault(.error, "a type that is not UTF-8") }
            let type = try valid { () throws(EventError) in try EventType(text) }
            if let refusal = version.refusal(toEmit: type) { throw Fault(.denied, refusal) }
            return .emit(type: type, data: data.isEmpty ? nil : try json(data), options: try self.options(options, type: type))
        case .read(let key, let version): return .read(key: try checked(key), version: version)
        case .set(let key, let value, let expiry, let version):
            guard StateVersions.isValid(version) else { throw Fault(.error, "a write whose version is none: \(version)") }
            return .set(
                key: try checked(key), value: try json(value), expiry: expiry == 0 ? nil : Timestamp(microseconds: expiry), version: version
            )
        case .delete(let key): return .delete(key: try checked(key))
        case .cursor(let cursor): return .cursor(try json(cursor))
        }
    }

    private func valid<Value>(_ make: () throws(EventError) -> Value) throws(Fault) -> Value {
        do throws(EventError) { return try make() } catch { throw Fault(.error, error.message) }
    }

    private func json(_ bytes: UnsafeRawBufferPointer) throws(Fault) -> JSON {
        try valid { () throws(EventError) in try JSON(validating: bytes) }
    }

    private func checked(_ key: String) throws(Fault) -> String {
        guard (1...Self.keySizeMax).contains(key.utf8.count) else {
            throw Fault(.error, "a key of \(key.utf8.count) bytes; it has 1 to 512")
        }
        return key
    }

    private func options(_ bytes: UnsafeRawBufferPointer, type: EventType) throws(Fault) -> EmitOptions {
        guard !bytes.isEmpty else { return EmitOptions() }
        let given = try json(bytes).value
        var options = EmitOptions()
        options.subject = given["subject"]?.string
        options.key = given["key"]?.string
        options.id = given["id"]?.string
        options.source = given["source"]?.string
        if let source = options.source, source != version.plugin.eventSource, !version.manifest.permissions.permitsSource(source) {
            throw Fault(
                .denied,
                "plugin '\(version.plugin.name)' may not emit with the source '\(source)': add it to sources under [permissions] in plugin.toml"
            )
        }
        options.delay = given["delay_us"]?.integer.map { .microseconds(max(0, $0)) }
        switch given["at"] {
        case .integer(let microseconds)?: options.at = Timestamp(microseconds: microseconds)
        case .string(let text)?:
            guard let time = Timestamp(rfc3339: text) else { throw Fault(.error, "at is no RFC 3339 time: '\(text.prefix(80))'") }
            options.at = time
        default: break
        }
        // The event itself is made later, unchecked; making one without data checks what was given.
        _ = try valid { () throws(EventError) in
            try Event(type: type, id: options.id, source: options.source ?? Event.defaultSource, subject: options.subject, key: options.key)
        }
        return options
    }
}

/// Reads the effects of one outcome, in place and in the order in which the script staged them.
///
/// | kind u8 | name | body |
/// |---|---|---|
/// | 1 | emit | u8 zero · u16 type size · u32 data size · u16 options size · type · data JSON · options JSON (0 = none) |
/// | 2 | kv.read | u8 zero · u16 key size · u64 version seen (0 = absent) · key |
/// | 3 | kv.set | u8 zero · u16 key size · u32 value size · i64 expiry, microseconds since 1970 (0 = none) · u64 version · key · value JSON |
/// | 4 | kv.delete | u8 zero · u16 key size · key |
/// | 5 | cursor | u8[3] zero · u32 size · JSON |
package struct EffectReader {
    private var cursor: FrameCursor

    package init(_ effects: UnsafeRawBufferPointer) {
        cursor = FrameCursor(effects)
    }

    package init(_ outcome: OutcomeRecord) {
        self.init(outcome.effects)
    }

    /// The next effect; nil when there are no more.
    package mutating func next() throws(FrameError) -> EffectRecord? {
        guard !cursor.rest.isEmpty else { return nil }
        let kind = try cursor.integer(UInt8.self)
        try cursor.zeros(1)
        switch kind {
        case EffectRecord.Kind.emit:
            let type = Int(try cursor.integer(UInt16.self))
            let data = Int(try cursor.integer(UInt32.self))
            let options = Int(try cursor.integer(UInt16.self))
            return .emit(type: try cursor.bytes(type), data: try cursor.bytes(data), options: try cursor.bytes(options))
        case EffectRecord.Kind.read:
            let key = Int(try cursor.integer(UInt16.self))
            let version = try cursor.integer(UInt64.self)
            return .read(key: try cursor.text(key), version: version)
        case EffectRecord.Kind.set:
            let key = Int(try cursor.integer(UInt16.self))
            let value = Int(try cursor.integer(UInt32.self))
            let expiry = try cursor.integer(Int64.self)
            let version = try cursor.integer(UInt64.self)
            return .set(key: try cursor.text(key), value: try cursor.bytes(value), expiry: expiry, version: version)
        case EffectRecord.Kind.delete:
            return .delete(key: try cursor.text(Int(try cursor.integer(UInt16.self))))
        case EffectRecord.Kind.cursor:
            try cursor.zeros(2)
            return .cursor(try cursor.bytes(Int(try cursor.integer(UInt32.self))))
        default:
            throw FrameError(.unknownKind, "no effect has the kind \(kind)")
        }
    }
}

/// One effect, in place; JSON and types are not validated yet.
package enum EffectRecord {
    enum Kind {
        static let emit: UInt8 = 1
        static let read: UInt8 = 2
        static let set: UInt8 = 3
        static let delete: UInt8 = 4
        static let cursor: UInt8 = 5
    }

    /// `options` is JSON `{"subject","key","id","delay_us","at","source"}`, or empty.
    case emit(type: UnsafeRawBufferPointer, data: UnsafeRawBufferPointer, options: UnsafeRawBufferPointer)
    /// Version 0 means that the key was absent.
    case read(key: String, version: UInt64)
    /// `expiry` in microseconds since 1970 UTC, 0 for none. `version` names the write.
    case set(key: String, value: UnsafeRawBufferPointer, expiry: Int64, version: UInt64)
    case delete(key: String)
    case cursor(UnsafeRawBufferPointer)
}

/// Writes the effects of `kv` as docs/frames.md lays them out.
enum KvEffect {
    static func read(_ key: KvKey, version: UInt64) -> [UInt8] {
        var effect = head(EffectRecord.Kind.read, key)
        append(version, to: &effect)
        return effect + key.bytes
    }

    static func set(_ key: KvKey, _ value: UnsafeRawBufferPointer, expiry: Int64, version: UInt64) -> [UInt8] {
        var effect = head(EffectRecord.Kind.set, key)
        effect.reserveCapacity(24 + key.bytes.count + value.count)
        append(UInt32(value.count), to: &effect)
        append(expiry, to: &effect)
        append(version, to: &effect)
        effect += key.bytes
        effect += value
        return effect
    }

    static func delete(_ key: KvKey) -> [UInt8] {
        head(EffectRecord.Kind.delete, key) + key.bytes
    }

    private static func head(_ kind: UInt8, _ key: KvKey) -> [UInt8] {
        var head: [UInt8] = [kind, 0]
        append(UInt16(key.bytes.count), to: &head)
        return head
    }

    private static func append(_ value: some FixedWidthInteger, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }
}

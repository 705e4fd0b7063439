/// Who a delivery is, whenever and wherever it runs: the same event for the same subscription always has the same identity.
///
/// The ids of the events that a handler emits are made from it, so that a second run of the delivery makes the same
/// events again and the journal keeps one of each.
///
/// - `key` of a subscription: SipHash-2-4-128 of its name (UTF-8) under the key (0, 0), as two little-endian words.
/// - `bytes`: SipHash-2-4-128 of the event's id, a zero byte and its source under that key; 16 bytes, `high` then `low`,
///   each big-endian.
/// - `eventID(n)`: `bytes` as one big-endian 128-bit number in 26 characters of Crockford's base 32 (capitals,
///   `0123456789ABCDEFGHJKMNPQRSTVWXYZ`, most significant first; 26 × 5 = 130 bits, so that the first character is 0…7),
///   a hyphen, and `n` in decimal. The C shim writes the same from the 16 bytes of a `moonbus_delivery`.
///
/// These definitions are part of the journal's format: changing one makes deliveries that are under way emit twice.
package struct Identity: Sendable, Hashable, CustomStringConvertible {
    /// The first 8 bytes, big-endian.
    package let high: UInt64
    /// The last 8 bytes, big-endian.
    package let low: UInt64

    /// The identity of an event's delivery to the subscription with that key.
    package init(event: Event, subscription key: (UInt64, UInt64)) {
        (high, low) = event.withUnsafeFields { fields in
            Self.digest(id: fields.id, source: fields.source, key: key)
        }
    }

    /// The identity of the delivery of the event with this id and source.
    package init(event id: String, source: String, subscription key: (UInt64, UInt64)) {
        (high, low) = id.withUTF8Bytes { id in
            source.withUTF8Bytes { source in Self.digest(id: id, source: source, key: key) }
        }
    }

    /// Wraps a number.
    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// The key of a subscription, from its durable name.
    package static func key(subscription name: String) -> (UInt64, UInt64) {
        var hash = SipHash(key: (0, 0))
        name.withUTF8Bytes { hash.update($0) }
        return hash.finish()
    }

    /// The 16 bytes, in the order in which they lie in a `moonbus_delivery`.
    package var bytes: [UInt8] {
        withUnsafeBytes { Array($0) }
    }

    /// The 16 bytes; valid while `body` runs.
    package func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        Swift.withUnsafeBytes(of: (high.bigEndian, low.bigEndian), body)
    }

    /// The id of the `ordinal`-th event (from 0) that the delivery emits.
    package func eventID(_ ordinal: Int) -> String {
        "\(description)-\(ordinal)"
    }

    /// The 26 characters.
    package var description: String {
        String(unsafeUninitializedCapacity: 26) { buffer in
            guard let start = buffer.baseAddress else { return 0 }
            Crockford.write(high: high, low: low, to: start)
            return 26
        }
    }

    private static func digest(
        id: UnsafeRawBufferPointer, source: UnsafeRawBufferPointer, key: (UInt64, UInt64)
    ) -> (UInt64, UInt64) {
        var hash = SipHash(key: key)
        hash.update(id)
        hash.update(0)
        hash.update(source)
        return hash.finish()
    }
}

internal import MoonbusEvents
internal import MoonbusJournal

/// What the values at paths of events hash to: found once for each event, path and value, however many subscriptions ask. Confined to the
/// owner thread.
///
/// It lives for a turn, because queues take an event one after the other within one; what a delivery's key is stays in ``Owed/key``. Its work is that
/// of reading an event once or twice: without it a plugin's thousand subscriptions would read a megabyte a thousand times.
final class PathKeys {
    private struct Known {
        /// Held, so that no other event gets its address.
        let event: Event
        let data: JSON
        var keys: [[String]: UInt64] = [:]
        /// By where the value lies.
        var values: [Range<Int>: UInt64] = [:]
        var lookup: JSONLookup?
    }

    /// Reading a smaller one again costs as much as looking it up.
    private static let smallSize = 512
    /// So many paths are looked for one by one; more than that are worth a ``JSONLookup``.
    private static let pathCountMax = 16
    /// More than any batch brings, so that none of it is forgotten on the way.
    private static let eventCountMax = 4_096
    private static let lookupSizeMax = 64 << 20

    private let hash: ByteHash
    private var known: [UInt: Known] = [:]
    private var lookupSize = 0
    /// Bytes of values and texts that were read, for tests.
    private(set) var readSize = 0

    init(_ hash: ByteHash) {
        self.hash = hash
    }

    /// The same as ``OrderingKey/hash(of:_:)`` of a path.
    func key(at path: [String], of event: Event) -> UInt64 {
        guard let data = event.data else { return 0 }
        guard data.byteCount > Self.smallSize else {
            readSize += data.byteCount
            return OrderingKey.hash(ofValueAt: path, in: data, hash)
        }
        let address = event.withUnsafeRecord { UInt(bitPattern: $0.baseAddress) }
        if known[address] == nil {
            if known.count == Self.eventCountMax || lookupSize > Self.lookupSizeMax { clear() }
            known[address] = Known(event: event, data: data)
        }
        return find(path, &known[address, default: Known(event: event, data: data)])
    }

    /// Forgets all: the turn is over.
    func endTurn() {
        if !known.isEmpty { clear() }
    }

    private func clear() {
        known.removeAll(keepingCapacity: true)
        lookupSize = 0
    }

    private func find(_ path: [String], _ event: inout Known) -> UInt64 {
        if let key = event.keys[path] { return key }
        let key: UInt64
        if event.keys.count < Self.pathCountMax {
            readSize += event.data.byteCount
            key = OrderingKey.hash(ofValueAt: path, in: event.data, hash)
        } else {
            key = look(for: path, &event)
        }
        event.keys[path] = key
        return key
    }

    private func look(for path: [String], _ event: inout Known) -> UInt64 {
        if event.lookup == nil {
            event.lookup = JSONLookup(event.data)
            lookupSize += event.data.byteCount
            readSize += event.data.byteCount
        }
        guard let range = event.lookup?.range(at: path) else { return 0 }
        if let key = event.values[range] { return key }
        readSize += range.count
        let key = event.data.withUnsafeBytes { OrderingKey.hash(ofValue: UnsafeRawBufferPointer(rebasing: $0[range]), hash) }
        event.values[range] = key
        return key
    }
}

extension OrderingKey {
    /// Longer values than this are the same if their text is: reading them to see whether they mean the same would be the dearest thing about
    /// an event.
    static let comparedSizeMax = 4_096

    /// What stands for the value at a path of an event's data; 0 when there is none.
    static func hash(ofValueAt path: [String], in data: JSON, _ hash: ByteHash) -> UInt64 {
        data.withUnsafeBytes(at: path) { Self.hash(ofValue: $0, hash) } ?? 0
    }

    /// What stands for a value; 0 for null.
    static func hash(ofValue json: UnsafeRawBufferPointer, _ hash: ByteHash) -> UInt64 {
        if json.first == UInt8(ascii: "n") { return 0 }
        // A text without escapes is written as it is read.
        let isPlainText = json.first == UInt8(ascii: "\"") && !json.contains(UInt8(ascii: "\\"))
        guard !isPlainText, json.count <= comparedSizeMax else { return word(json, hash) }
        return JSON(JSON(trusted: json).value).withUnsafeBytes { word($0, hash) }
    }
}

internal import Glibc

/// The keys of the objects that a validator is inside of, to find duplicates.
///
/// Small objects (up to ``smallMax`` keys) compare each key's fingerprint with those before it. Larger ones are sorted
/// when they close: n log n comparisons whatever the keys are, so that keys made to collide cost no more than others.
/// The road not taken: a hash set, which needs memory per object and a secret seed to be safe.
struct JSONKeys: ~Copyable {
    private struct Entry {
        var start: UInt32
        var size: UInt32
        /// Made of size, first and last bytes: equal for equal keys, different for almost all others.
        var fingerprint: UInt64
    }

    private static let smallMax = 64

    private let text: UnsafeRawBufferPointer
    private var entries: UnsafeMutablePointer<Entry>?
    private var capacity = 0
    /// Escaped keys, decoded one after the other; their `start` lies past the end of the text.
    private var decoded: [UInt8] = []
    private(set) var count = 0

    init(text: UnsafeRawBufferPointer) {
        self.text = text
    }

    deinit {
        entries?.deallocate()
    }

    /// Adds a key of the object whose first key has the number `first`.
    ///
    /// - Parameter range: the key without its quotes.
    /// - Returns: where the key starts if the object has it already and is small; larger ones are told by ``close(first:)``.
    @inline(__always)
    mutating func add(_ range: Range<Int>, isEscaped: Bool, first: Int) -> Int? {
        var entry = Entry(
            start: UInt32(truncatingIfNeeded: range.lowerBound), size: UInt32(truncatingIfNeeded: range.count), fingerprint: 0)
        if isEscaped { decode(range, into: &entry) }
        entry.fingerprint = fingerprint(of: entry)
        if count == capacity { grow() }
        guard let entries else { return nil }
        if count - first < Self.smallMax {
            for index in first..<count where entries[index].fingerprint == entry.fingerprint && order(entries[index], entry) == 0 {
                return range.lowerBound
            }
        }
        entries[count] = entry
        count += 1
        return nil
    }

    /// Forgets the keys from `first` on: their object is complete.
    ///
    /// - Returns: where a duplicate key starts, if there is one.
    mutating func close(first: Int) -> Int? {
        defer { count = first }
        guard count - first > Self.smallMax, let entries else { return nil }
        let keys = UnsafeMutableBufferPointer(start: entries + first, count: count - first)
        var sorted = Array(keys)
        sorted.sort { left, right in
            if left.fingerprint != right.fingerprint { return left.fingerprint < right.fingerprint }
            let order = order(left, right)
            return order == 0 ? left.start < right.start : order < 0
        }
        for index in 1..<sorted.count
        where sorted[index].fingerprint == sorted[index - 1].fingerprint && order(sorted[index], sorted[index - 1]) == 0 {
            return position(of: sorted[index])
        }
        return nil
    }

    private func bytes(of entry: Entry) -> (decoded: Bool, start: Int) {
        let start = Int(entry.start)
        return start >= escapedBase ? (true, start - escapedBase) : (false, start)
    }

    /// Texts are smaller than 2 GiB, so that decoded keys can be numbered from there.
    private var escapedBase: Int { 1 << 31 }

    private func withBytes<R>(of entry: Entry, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        let place = bytes(of: entry)
        let range = place.start..<place.start + Int(entry.size)
        guard place.decoded else { return body(UnsafeRawBufferPointer(rebasing: text[range])) }
        return decoded.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    /// Like memcmp: by bytes, the shorter one first.
    private func order(_ left: Entry, _ right: Entry) -> Int {
        withBytes(of: left) { leftBytes in
            withBytes(of: right) { rightBytes in
                let size = min(leftBytes.count, rightBytes.count)
                if size > 0, let leftStart = leftBytes.baseAddress, let rightStart = rightBytes.baseAddress {
                    let order = memcmp(leftStart, rightStart, size)
                    if order != 0 { return Int(order) }
                }
                return leftBytes.count - rightBytes.count
            }
        }
    }

    @inline(__always)
    private func fingerprint(of entry: Entry) -> UInt64 {
        if Int(entry.start) >= escapedBase { return withBytes(of: entry) { Self.fingerprint($0, 0, $0.count) } }
        return Self.fingerprint(text, Int(entry.start), Int(entry.size))
    }

    /// Overlapping loads cover keys of up to 16 bytes whole; longer ones differ mostly at the ends.
    @inline(__always)
    private static func fingerprint(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ size: Int) -> UInt64 {
        let end = start + size
        let ends: (UInt64, UInt64)
        if size >= 8 {
            ends = (
                bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self),
                bytes.loadUnaligned(fromByteOffset: end - 8, as: UInt64.self)
            )
        } else if size >= 4 {
            ends = (
                UInt64(bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self)),
                UInt64(bytes.loadUnaligned(fromByteOffset: end - 4, as: UInt32.self))
            )
        } else if size > 0 {
            ends = (UInt64(bytes[start]) << 8 | UInt64(bytes[start + size / 2]), UInt64(bytes[end - 1]))
        } else {
            ends = (0, 0)
        }
        return (ends.0 &* 0x9E37_79B9_7F4A_7C15) ^ (ends.1 &* 0xC2B2_AE3D_27D4_EB4F) ^ UInt64(size)
    }

    private mutating func decode(_ range: Range<Int>, into entry: inout Entry) {
        let start = decoded.count
        var reader = JSONReader(text, at: range.lowerBound - 1)
        reader.appendString(to: &decoded)
        // The original place, in front of the decoded key, for the error.
        withUnsafeBytes(of: UInt32(truncatingIfNeeded: range.lowerBound)) { decoded.insert(contentsOf: $0, at: start) }
        entry.start = UInt32(truncatingIfNeeded: escapedBase + start + 4)
        entry.size = UInt32(truncatingIfNeeded: decoded.count - start - 4)
    }

    private func position(of entry: Entry) -> Int {
        let place = bytes(of: entry)
        guard place.decoded else { return place.start }
        return decoded.withUnsafeBytes { Int($0.loadUnaligned(fromByteOffset: place.start - 4, as: UInt32.self)) }
    }

    private mutating func grow() {
        let larger = UnsafeMutablePointer<Entry>.allocate(capacity: max(32, capacity * 2))
        if let entries {
            larger.moveInitialize(from: entries, count: count)
            entries.deallocate()
        }
        capacity = max(32, capacity * 2)
        entries = larger
    }
}

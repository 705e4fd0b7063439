/// Finds values at many paths of one text: each of its objects and arrays on the way is read once, however many paths lead through it.
///
/// For a single path ``JSON/withUnsafeBytes(at:_:)`` is cheaper: it reads up to the value, and remembers nothing.
package struct JSONLookup {
    private enum Place {
        /// Where the values lie, by their keys' bytes: two keys that only look the same are two keys.
        case object([[UInt8]: Range<Int>])
        case array([Range<Int>])
        case scalar
    }

    private let json: JSON
    /// By where they begin; of those that paths led to.
    private var places: [Int: Place] = [:]
    /// Where long objects and arrays end, by where they begin. Without it the innermost of sixty levels would be read over sixty times.
    private var ends: [Int: Int] = [:]
    private static let longSize = 4_096

    /// Reads the text once.
    package init(_ json: JSON) {
        self.json = json
        ends = json.withUnsafeBytes { Self.ends(in: $0) }
    }

    /// Where the value at a path lies in the text, as ``JSON/value(at:)`` finds it; `nil` when there is nothing.
    package mutating func range(at path: [String]) -> Range<Int>? {
        var range = 0..<json.byteCount
        for key in path {
            let next: Range<Int>?
            switch place(at: range.lowerBound) {
            case .object(let members): next = members[Array(key.utf8)]
            case .array(let elements): next = Int(key).flatMap { elements.indices.contains($0) ? elements[$0] : nil }
            case .scalar: next = nil
            }
            guard let next else { return nil }
            range = next
        }
        return range
    }

    private mutating func place(at start: Int) -> Place {
        if let place = places[start] { return place }
        let place = json.withUnsafeBytes { read($0, at: start) }
        places[start] = place
        return place
    }

    private func read(_ bytes: UnsafeRawBufferPointer, at start: Int) -> Place {
        var reader = JSONReader(bytes, at: start)
        switch reader.peek() {
        case UInt8(ascii: "{"):
            var members: [[UInt8]: Range<Int>] = [:]
            _ = reader.take("{")
            if reader.take("}") { return .object(members) }
            repeat {
                var key: [UInt8] = []
                reader.appendString(to: &key)
                _ = reader.take(":")
                members[key] = range(&reader)
            } while reader.next(before: "}")
            return .object(members)
        case UInt8(ascii: "["):
            var elements: [Range<Int>] = []
            _ = reader.take("[")
            if reader.take("]") { return .array(elements) }
            repeat { elements.append(range(&reader)) } while reader.next(before: "]")
            return .array(elements)
        default: return .scalar
        }
    }

    private func range(_ reader: inout JSONReader) -> Range<Int> {
        let first = reader.peek()
        let start = reader.index
        if first == UInt8(ascii: "{") || first == UInt8(ascii: "["), let end = ends[start] {
            reader = JSONReader(reader.bytes, at: end)
        } else {
            reader.skipValue()
        }
        return start..<reader.index
    }

    private static func ends(in bytes: UnsafeRawBufferPointer) -> [Int: Int] {
        guard bytes.count >= longSize else { return [:] }
        var ends: [Int: Int] = [:]
        var open: [Int] = []
        var index = 0
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "\""):
                var reader = JSONReader(bytes, at: index)
                reader.skipValue()
                index = reader.index
                continue
            case UInt8(ascii: "{"), UInt8(ascii: "["): open.append(index)
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                if let start = open.popLast(), index - start >= longSize { ends[start] = index + 1 }
            default: break
            }
            index += 1
        }
        return ends
    }
}

/// Keys with values, in the order in which they were written.
///
/// Made for the small objects of events: finding a key is a walk over all of them. Keys are unique byte by byte: unlike
/// Swift's strings, JSON tells `é` as one character from `e` with an accent.
public struct JSONObject: Sendable {
    /// A key and its value.
    public typealias Member = (key: String, value: JSONValue)

    private var members: [Member] = []

    /// Creates an object without keys.
    public init() {}

    /// Wraps members whose keys are known to be unique.
    init(unique members: [Member]) {
        self.members = members
    }

    /// How many keys there are.
    public var count: Int { members.count }
    /// Whether there is no key.
    public var isEmpty: Bool { members.isEmpty }
    /// The keys, in order.
    public var keys: [String] { members.map(\.key) }

    /// The value under a key. Setting a new key appends it; setting `nil` removes it.
    public subscript(key: String) -> JSONValue? {
        get { members.first { $0.key.hasSameBytes(as: key) }?.value }
        set {
            switch (members.firstIndex(where: { $0.key.hasSameBytes(as: key) }), newValue) {
            case (let index?, let value?): members[index].value = value
            case (let index?, nil): members.remove(at: index)
            case (nil, let value?): members.append((key, value))
            case (nil, nil): break
            }
        }
    }
}

extension JSONObject: RandomAccessCollection {
    /// 0.
    public var startIndex: Int { 0 }
    /// The number of keys.
    public var endIndex: Int { members.count }
    /// The member at an index, in order.
    public subscript(position: Int) -> Member { members[position] }
}

extension JSONObject: Hashable {
    /// Whether both have the same keys with equal values, in whatever order.
    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        guard left.count == right.count else { return false }
        return areEqual(left.members, right.members) || areEqual(left.sorted, right.sorted)
    }

    /// Hashes the members without regard to their order.
    public func hash(into hasher: inout Hasher) {
        var sum = 0
        for member in members {
            var each = Hasher()
            each.combine(bytesOf: member.key)
            each.combine(member.value)
            sum &+= each.finalize()
        }
        hasher.combine(sum)
        hasher.combine(members.count)
    }

    private var sorted: [Member] {
        members.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    }

    private static func areEqual(_ left: [Member], _ right: [Member]) -> Bool {
        zip(left, right).allSatisfy { $0.key.hasSameBytes(as: $1.key) && $0.value == $1.value }
    }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
    /// An object; of two equal keys the last one counts.
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        for (key, value) in elements { self[key] = value }
    }
}

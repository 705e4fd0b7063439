import MoonbusEvents

/// Dead letters by their ids, which rise. The oldest goes when there are too many.
struct LetterBox {
    private var letters: [UInt64: DeadLetter] = [:]
    private var nextID: UInt64 = 1
    /// No letter has a lower id.
    private var lowest: UInt64 = 1
    private(set) var forgottenCount = 0
    private(set) var size = 0

    var count: Int { letters.count }

    subscript(id: UInt64) -> DeadLetter? { letters[id] }

    mutating func add(_ letter: DeadLetter, countMax: Int) {
        var letter = letter
        letter.id = nextID
        nextID += 1
        letters[letter.id] = letter
        size += Self.size(of: letter)
        while letters.count > countMax {
            if remove(lowest) != nil { forgottenCount += 1 }
            lowest += 1
        }
    }

    mutating func remove(_ id: UInt64) -> DeadLetter? {
        guard let letter = letters.removeValue(forKey: id) else { return nil }
        size -= Self.size(of: letter)
        return letter
    }

    /// Newest first.
    func newest(_ limit: Int) -> [DeadLetter] {
        letters.values.sorted { $0.id > $1.id }.prefix(limit).map { $0 }
    }

    private static func size(of letter: DeadLetter) -> Int {
        letter.failures.reduce(letter.event.recordSize + 64) {
            $0 + $1.fault.message.utf8.count + ($1.fault.traceback?.utf8.count ?? 0) + 64
        }
    }
}

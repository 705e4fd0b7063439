import MoonbusEvents

/// Dead letters by their ids, which rise. When there are too many, ``LetterShares`` says which one goes.
struct LetterBox {
    private var letters: [UInt64: DeadLetter] = [:]
    private var shares = LetterShares()
    private var nextID: UInt64 = 1
    private(set) var forgottenCount = 0

    var count: Int { letters.count }
    var size: Int { shares.size }

    subscript(id: UInt64) -> DeadLetter? { letters[id] }

    mutating func add(_ letter: DeadLetter, bounds: LetterShares.Bounds) {
        var letter = letter
        letter.id = nextID
        nextID += 1
        letters[letter.id] = letter
        shares.add(letter.id, of: letter.subscription, size: Self.size(of: letter))
        while let id = shares.removeExcess(bounds) {
            letters[id] = nil
            forgottenCount += 1
        }
    }

    mutating func remove(_ id: UInt64) -> DeadLetter? {
        guard let letter = letters.removeValue(forKey: id) else { return nil }
        shares.remove(id, of: letter.subscription)
        return letter
    }

    /// Newest first.
    func newest(_ limit: Int) -> [DeadLetter] {
        letters.values.sorted { $0.id > $1.id }.prefix(limit).map { $0 }
    }

    private static func size(of letter: DeadLetter) -> Int {
        letter.failures.reduce(letter.event.recordSize + LetterShares.overhead) {
            $0 + $1.fault.message.utf8.count + ($1.fault.traceback?.utf8.count ?? 0) + 64
        }
    }
}

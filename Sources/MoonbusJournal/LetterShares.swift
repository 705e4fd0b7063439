/// Which dead letters are kept, and which one goes when there are too many.
///
/// It is the oldest one of the plugin that has most of what is short (letters, or their bytes); of two that have as much, the one whose oldest
/// letter is older. So a flood of one plugin's letters takes the place of its own, and who has few loses none.
///
/// Both journals keep one beside their letters: ids and sizes only.
package struct LetterShares: Sendable {
    /// The bounds of all letters together.
    package struct Bounds: Sendable {
        package var count: Int
        package var size: Int

        package init(count: Int, size: Int) {
            self.count = count
            self.size = size
        }
    }

    private struct Letter {
        var id: UInt64
        var size: Int
    }

    /// The letters of one plugin, by rising id. Those before `first` are gone.
    private struct Holder {
        var letters: [Letter] = []
        var first = 0
        var size = 0

        var count: Int { letters.count - first }

        mutating func removeFirst() -> Letter {
            let letter = letters[first]
            first += 1
            size -= letter.size
            if first * 2 > letters.count {
                letters.removeFirst(first)
                first = 0
            }
            return letter
        }

        mutating func remove(_ id: UInt64) -> Letter? {
            var (low, high) = (first, letters.count)
            while low < high {
                let middle = (low + high) / 2
                if letters[middle].id < id { low = middle + 1 } else { high = middle }
            }
            guard low < letters.count, letters[low].id == id else { return nil }
            let letter = letters.remove(at: low)
            size -= letter.size
            return letter
        }
    }

    private var holders: [Substring: Holder] = [:]
    /// Letters of all.
    package private(set) var count = 0
    /// Bytes of all.
    package private(set) var size = 0

    package init() {}

    /// Bytes that a letter counts beside its event and its failures.
    package static let overhead = 64

    /// Takes a letter, the newest one.
    package mutating func add(_ id: UInt64, of subscription: String, size: Int) {
        let plugin = Self.plugin(of: subscription)
        holders[plugin, default: Holder()].letters.append(Letter(id: id, size: size))
        holders[plugin]?.size += size
        count += 1
        self.size += size
    }

    /// Gives up a letter that was retried or dropped.
    package mutating func remove(_ id: UInt64, of subscription: String) {
        let plugin = Self.plugin(of: subscription)
        guard let letter = holders[plugin]?.remove(id) else { return }
        forget(letter, of: plugin)
    }

    /// Gives up the letter that is to go next; nil: all may stay. The last one does in any case.
    package mutating func removeExcess(_ bounds: Bounds) -> UInt64? {
        guard count > 1 else { return nil }
        let plugin: Substring?
        if count > bounds.count {
            plugin = largest { $0.count }
        } else if size > bounds.size {
            plugin = largest { $0.size }
        } else {
            return nil
        }
        guard let plugin, let letter = holders[plugin]?.removeFirst() else { return nil }
        forget(letter, of: plugin)
        return letter.id
    }

    private func largest(_ measure: (Holder) -> Int) -> Substring? {
        holders.max { left, right in
            (measure(left.value), right.value.letters[right.value.first].id)
                < (measure(right.value), left.value.letters[left.value.first].id)
        }?.key
    }

    private mutating func forget(_ letter: Letter, of plugin: Substring) {
        count -= 1
        size -= letter.size
        if holders[plugin]?.count == 0 { holders[plugin] = nil }
    }

    /// Subscriptions of plugins are called "plugin.subscription".
    private static func plugin(of subscription: String) -> Substring { subscription.prefix { $0 != "." } }
}

/// "Did you mean …?" for names that people type.
package enum Suggestion {
    /// The known name that a misspelt one most likely stands for.
    ///
    /// A name is near when at most a third of its letters (but always one) must be inserted, removed, replaced or
    /// swapped with their neighbour. `nil` when none is that near; the first one wins a tie.
    package static func nearest(to name: String, in known: some Sequence<String>) -> String? {
        let typed = Array(name.lowercased().unicodeScalars.prefix(lengthMax))
        let bound = max(1, typed.count / 3)
        var best: (name: String, distance: Int)?
        for candidate in known {
            let letters = Array(candidate.lowercased().unicodeScalars.prefix(lengthMax))
            guard abs(letters.count - typed.count) <= bound else { continue }
            let distance = distance(typed, letters)
            guard distance <= bound, distance < best?.distance ?? .max else { continue }
            best = (candidate, distance)
        }
        return best?.name
    }

    /// `; did you mean "numeric"?`, ready to be appended to an error, or nothing.
    package static func hint(for name: String, in known: some Sequence<String>) -> String {
        nearest(to: name, in: known).map { "; did you mean \"\($0)\"?" } ?? ""
    }

    /// Longer names are compared by their beginnings: the cost is quadratic and the names come from outside.
    private static let lengthMax = 64

    /// The optimal string alignment distance.
    private static func distance(_ left: [Unicode.Scalar], _ right: [Unicode.Scalar]) -> Int {
        var beforeLast = [Int]()
        var last = Array(0...right.count)
        for row in left.indices {
            var current = [row + 1]
            for column in right.indices {
                let replaced = last[column] + (left[row] == right[column] ? 0 : 1)
                var cost = min(replaced, last[column + 1] + 1, current[column] + 1)
                if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
                    cost = min(cost, beforeLast[column - 1] + 1)
                }
                current.append(cost)
            }
            (beforeLast, last) = (last, current)
        }
        return last[right.count]
    }
}

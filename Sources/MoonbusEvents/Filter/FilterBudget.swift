/// How much work filters may still do: steps, each of 1 to 40 ns (measured: tests made to be dear, events of a megabyte).
///
/// A step is one object, element, key or alternative that is looked at, or 16 bytes that are read over; texts are dearer where a test is
/// (upper and lower case, wildcards, escapes). So the time that filters take is bounded whatever they and the event are: a bound of their bytes
/// would let sixty alternatives walk over an array of a hundred thousand elements, each by itself.
package struct FilterBudget: Sendable {
    /// -1 once something was not looked at for want of steps.
    package private(set) var left: Int

    /// Creates a budget of so many steps.
    package init(_ steps: Int) { left = steps }

    /// True once it was not enough: what was found since is not to be relied on.
    package var isSpent: Bool { left < 0 }

    /// Adds steps, up to `most` in all.
    package mutating func add(_ steps: Int, most: Int) {
        left = min(most, max(0, left) + steps)
    }

    /// Takes steps.
    ///
    /// - Returns: false once there are none left; whoever asks then looks at nothing more.
    @inline(__always)
    mutating func spend(_ steps: Int) -> Bool {
        guard left >= steps else {
            left = -1
            return false
        }
        left &-= steps
        return true
    }
}

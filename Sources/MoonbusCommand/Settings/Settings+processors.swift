import NIOCore

extension Settings {
    /// How many processors this process may use (affinity and container limits count), at most 8: one lane each.
    static var processors: Int { min(max(System.coreCount, 1), 8) }
}

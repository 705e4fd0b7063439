import MoonbusEvents

/// What each plugin holds of what all have together, counted along with every change, so that no write has to look for it.
///
/// Always true between two calls of a journal: `stateSize` is the sum of ``StateEntry/size`` of the plugin's values, those that have expired
/// and were not swept yet included; `delayedCount` and `delayedSize` are those of the events that wait and were delayed under its ``Share``.
package struct Holdings: Sendable {
    package struct Holding: Sendable, Hashable {
        package var stateSize = 0
        package var delayedCount = 0
        package var delayedSize = 0
    }

    private var byPlugin: [String: Holding] = [:]

    package init() {}

    package subscript(plugin: String) -> Holding { byPlugin[plugin] ?? Holding() }

    package mutating func add(stateSize: Int, of plugin: String) {
        guard stateSize != 0 else { return }
        byPlugin[plugin, default: Holding()].stateSize += stateSize
        if stateSize < 0 { forgetIfNothing(plugin) }
    }

    package mutating func addDelayed(size: Int, of plugin: String) {
        byPlugin[plugin, default: Holding()].delayedCount += 1
        byPlugin[plugin]?.delayedSize += size
    }

    package mutating func removeDelayed(size: Int, of plugin: String) {
        byPlugin[plugin]?.delayedCount -= 1
        byPlugin[plugin]?.delayedSize -= size
        forgetIfNothing(plugin)
    }

    /// Puts back what a plugin had before.
    package mutating func restore(_ holding: Holding, of plugin: String) {
        byPlugin[plugin] = holding
        forgetIfNothing(plugin)
    }

    private mutating func forgetIfNothing(_ plugin: String) {
        if byPlugin[plugin] == Holding() { byPlugin[plugin] = nil }
    }

    /// What a commit wants beyond its share; nil: nothing.
    ///
    /// What is there is only looked up when it could matter: when all that the commit writes would not fit beside what the plugin has.
    ///
    /// - Parameter sizeOf: ``StateEntry/size`` of the plugin's value under this key; 0: there is none.
    package func excess<Failure: Error>(
        of commit: Commit, sizeOf: (_ key: String) throws(Failure) -> Int
    ) throws(Failure) -> ShareExcess? {
        guard let share = commit.share, commit.state != nil || !commit.delayed.isEmpty else { return nil }
        let held = self[share.plugin]
        if let change = commit.state, held.stateSize + change.writtenSize > share.stateSizeMax {
            let growth = try change.growth(sizeOf: sizeOf)
            if growth > 0, held.stateSize + growth > share.stateSizeMax {
                return ShareExcess(.state, held: held.stateSize, wanted: held.stateSize + growth, limit: share.stateSizeMax)
            }
        }
        guard !commit.delayed.isEmpty else { return nil }
        let count = held.delayedCount + commit.delayed.count
        if count > share.delayedMax { return ShareExcess(.delayed, held: held.delayedCount, wanted: count, limit: share.delayedMax) }
        let size = commit.delayed.reduce(held.delayedSize) { $0 + $1.event.recordSize }
        guard size > share.delayedSizeMax else { return nil }
        return ShareExcess(.delayedSize, held: held.delayedSize, wanted: size, limit: share.delayedSizeMax)
    }
}

extension StateChange {
    /// Bytes of all values that it writes.
    fileprivate var writtenSize: Int { writes.reduce(0) { $0 + $1.size } }

    /// By how much the plugin's state becomes larger.
    fileprivate func growth<Failure: Error>(sizeOf: (_ key: String) throws(Failure) -> Int) throws(Failure) -> Int {
        var last: [String: Int] = [:]
        for write in writes { last[write.key] = write.size }
        var growth = 0
        for (key, size) in last { growth += size - (try sizeOf(key)) }
        return growth
    }
}

extension StateEntry {
    /// Bytes that a value counts beside its key and its JSON: many small ones take room, too.
    public static let overhead = 64

    /// Bytes that a value counts.
    package var size: Int { key.utf8.count + value.byteCount + Self.overhead }
}

extension StateWrite {
    /// Bytes that the value counts once it is written; 0: it is a deletion.
    package var size: Int { value.map { key.utf8.count + $0.byteCount + StateEntry.overhead } ?? 0 }
}

internal import DequeModule

/// State of a debounce policy: the last event of each key that has not been quiet for long enough.
struct Debouncing {
    struct Pending {
        var slot: UInt32
        /// When the key has been quiet for long enough; nanoseconds on the owner's monotonic clock.
        var due: Int64
    }

    /// No more keys than the queue may hold events: each holds one.
    var pending: [UInt64: Pending] = [:]
}

/// State of a throttle policy: when each key's last event passed.
///
/// Keys are kept for the interval, and no more of them than ``countMax``: past it the one that passed first is forgotten, which lets its next
/// event pass early. The work is the same for each event: there are no sweeps.
struct Throttling {
    private struct Passing {
        var key: UInt64
        var time: Int64
    }

    /// Of one subscription; some 50 bytes each.
    static let countMax = 100_000

    private var passed: [UInt64: Int64] = [:]
    /// The same in the order of time. A key that has passed again is in it twice for a while: the earlier one is over.
    private var order = Deque<Passing>()
    /// What is kept.
    var count: Int { order.count }

    /// True, at most once within `interval`, for each key. Times are nanoseconds on the owner's monotonic clock.
    ///
    /// - Parameter share: of the keys that the plugin's subscriptions keep together.
    mutating func passes(_ key: UInt64, now: Int64, interval: Int64, _ share: ThrottleShare) -> Bool {
        // Two for each that comes: those whose time is over don't pile up.
        for _ in 0..<2 {
            guard let first = order.first, now - first.time >= interval else { break }
            forgetFirst(share)
        }
        if let last = passed[key], now - last < interval { return false }
        if count >= Self.countMax || share.count >= ThrottleShare.countMax { forgetFirst(share) }
        passed[key] = now
        order.append(Passing(key: key, time: now))
        share.count += 1
        return true
    }

    /// Forgets all keys.
    mutating func removeAll(_ share: ThrottleShare) {
        share.count -= count
        self = Throttling()
    }

    private mutating func forgetFirst(_ share: ThrottleShare) {
        guard let first = order.popFirst() else { return }
        if passed[first.key] == first.time { passed[first.key] = nil }
        share.count -= 1
    }
}

/// How many keys the throttle policies of a plugin keep together. Confined to the owner thread.
final class ThrottleShare {
    /// Some 50 MB. A subscription that has kept none yet goes past it by one.
    static let countMax = 1_000_000
    var count = 0
}

internal import MoonbusEvents

/// The checkpoints of one run that are not committed yet, and what the run may do only once they are. State of the owner thread.
///
/// A source that emits faster than its events are taken waits: the host holds its next call until they have room, and the journal has them.
/// A lane that means well makes one checkpoint with each call, so a run has one here that waits for room. The bounds past which a run is ended
/// are for lanes that go on all the same, and for plugins with a thousand sources.
final class OpenCheckpoints {
    /// Those of a run that may wait for room, and their bytes.
    static let parkedMax = 64, sizeMax = Flow.parkedSizeMax
    /// Bytes of all runs of a plugin together.
    static let sizeOfPluginMax = 64 << 20
    /// Bytes that a run, and all of its plugin, may leave to a journal that is busy and go on: waiting for each commit would make sources slow.
    static let committingMax = 1 << 20, committingOfPluginMax = 16 << 20

    let plugin: String
    /// Those whose events wait for room.
    var parked: [ParkedEffects] = []
    /// What goes on once nothing is open, in order.
    var held: [() -> Void] = []
    /// Bytes of both.
    var size = 0
    /// Bytes of those that the journal is to commit.
    var committing = 0
    /// True once the run was told to end: nothing more of it is committed.
    var isCut = false

    init(plugin: String) { self.plugin = plugin }

    /// What the journal's answer to a checkpoint is for.
    struct Committing {
        let of: OpenCheckpoints
        /// The delivery; its slot may be another one's by then.
        let delivery: UInt64
        let size: Int
    }
}

/// Runs that wait because what they emitted has no room.
extension Dispatcher {
    func checkpoints(of slot: UInt32, _ queue: SubscriptionQueue) -> OpenCheckpoints {
        let extra = extra(of: slot)
        if let open = extra.checkpoints { return open }
        let open = OpenCheckpoints(plugin: queue.spec.plugin)
        extra.checkpoints = open
        return open
    }

    /// True while the delivery's next call must wait for its checkpoints.
    func awaitsRoom(_ id: UInt64) -> Bool {
        guard let slot = owed.find(id), let open = owed[slot].pointee.extra?.checkpoints else { return false }
        if open.isCut || !open.parked.isEmpty || !open.held.isEmpty { return true }
        guard open.committing > 0 else { return false }
        return open.committing > OpenCheckpoints.committingMax
            || checkpointSizes[open.plugin, default: 0] > OpenCheckpoints.committingOfPluginMax
    }

    /// Does something once the delivery's checkpoints are committed; never, if its run ends before.
    ///
    /// - Parameter size: bytes that `work` keeps.
    /// - Returns: false if that is too much.
    func whenRoom(for id: UInt64, size: Int, _ work: @escaping () -> Void) -> Bool {
        guard let slot = owed.find(id), let open = owed[slot].pointee.extra?.checkpoints, !open.isCut else { return true }
        let size = ParkedEffects.overhead + size
        guard checkpointSizes[open.plugin, default: 0] + size <= OpenCheckpoints.sizeOfPluginMax else { return false }
        open.held.append(work)
        open.size += size
        count(size, of: open)
        return true
    }

    /// Why a run may not have one more checkpoint open, which `full` or the journal keeps waiting; nil if it may.
    func excess(_ size: Int, in open: OpenCheckpoints, at full: SubscriptionQueue?) -> String? {
        let reason = full.map { "emits faster than subscription '\($0.name)' takes it: " } ?? "emits faster than the journal takes it: "
        if full != nil, open.parked.count >= OpenCheckpoints.parkedMax || open.size + size > OpenCheckpoints.sizeMax {
            return reason + "it went on \(open.parked.count) times although its events waited for room"
        }
        let all = checkpointSizes[open.plugin, default: 0]
        guard all + size > OpenCheckpoints.sizeOfPluginMax, full != nil || settleTrouble.failures > 0 else { return nil }
        return reason + "\(all >> 20) MiB from the sources of plugin '\(open.plugin)' wait already, its limit is "
            + "\(OpenCheckpoints.sizeOfPluginMax >> 20) MiB; emit less between two waits"
    }

    /// Ends a run that has too much open, and forgets at once what has no room.
    func cut(_ open: OpenCheckpoints, _ slot: UInt32, because reason: String) {
        dropParked(open)
        open.isCut = true
        cancel(slot, reason: reason)
    }

    func keep(_ parked: ParkedEffects, in open: OpenCheckpoints) {
        open.parked.append(parked)
        open.size += parked.size
        count(parked.size, of: open)
    }

    func release(_ parked: ParkedEffects, from open: OpenCheckpoints) {
        guard let index = open.parked.firstIndex(where: { $0 === parked }) else { return }
        open.parked.remove(at: index)
        open.size -= parked.size
        count(-parked.size, of: open)
    }

    func beginCommit(of staged: Staged, in open: OpenCheckpoints, _ id: UInt64) -> OpenCheckpoints.Committing {
        let committing = OpenCheckpoints.Committing(of: open, delivery: id, size: ParkedEffects.overhead + staged.size)
        open.committing += committing.size
        count(committing.size, of: open)
        return committing
    }

    /// After the last one the run goes on, in a turn of its own: it may begin anything.
    func endCommit(_ committing: OpenCheckpoints.Committing) {
        let open = committing.of
        open.committing -= committing.size
        count(-committing.size, of: open)
        guard open.committing == 0, open.parked.isEmpty, !open.held.isEmpty else { return }
        let delivery = committing.delivery
        owner.post { self.goOn(delivery) }
    }

    private func goOn(_ id: UInt64) {
        guard let slot = owed.find(id), let open = owed[slot].pointee.extra?.checkpoints, open.committing == 0, open.parked.isEmpty,
            !open.isCut
        else { return }
        let held = open.held
        open.held = []
        count(-open.size, of: open)
        open.size = 0
        for work in held { work() }
    }

    /// Forgets what a run that has ended has open; what the journal is to commit, it still does.
    func forgetCheckpoints(_ extra: Owed.Extra) {
        guard let open = extra.checkpoints else { return }
        extra.checkpoints = nil
        dropParked(open)
    }

    private func dropParked(_ open: OpenCheckpoints) {
        for parked in open.parked {
            if let patience = parked.patience { owner.cancel(patience) }
            _ = parked.take()
        }
        open.parked = []
        open.held = []
        count(-open.size, of: open)
        open.size = 0
    }

    private func count(_ size: Int, of open: OpenCheckpoints) {
        let all = checkpointSizes[open.plugin, default: 0] + size
        checkpointSizes[open.plugin] = all == 0 ? nil : all
    }
}

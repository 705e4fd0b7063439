package import CLuaShim

/// The calling thread as a lane: a place where contexts run, one at a time.
///
/// Everything about a lane and its contexts happens on the thread that made it, which needs a stack of at least 8 MiB.
/// The first lane starts the process's watchdog thread.
package final class LuaLane {
    /// The shim's lane, for callers that go past this layer.
    package let handle: OpaquePointer

    /// Nil when the process has 256 lanes already, or no memory.
    ///
    /// - Parameter page: where the lane writes what it runs, for a watchdog outside; it must outlive the lane.
    package init?(page: UnsafeMutablePointer<moonbus_page>? = nil) {
        guard let handle = moonbus_lane_enter(page) else { return nil }
        self.handle = handle
    }

    deinit {
        moonbus_lane_leave(handle)
    }

    /// Takes the outcomes of all runs since the last call.
    package func takeOutcomes() -> [LuaOutcome] {
        var size = 0
        var count: UInt32 = 0
        let start = moonbus_lane_output(handle, &size, &count)
        var rest = UnsafeRawBufferPointer(start: start, count: size)[...]
        var outcomes: [LuaOutcome] = []
        for _ in 0..<count {
            let (outcome, size) = LuaOutcome.read(UnsafeRawBufferPointer(rebasing: rest))
            outcomes.append(outcome)
            rest = rest.dropFirst(size)
        }
        var doneCount: UInt32 = 0
        let done = UnsafeBufferPointer(start: moonbus_lane_done(handle, &doneCount), count: Int(doneCount))
        outcomes += done.map { LuaOutcome(delivery: $0, status: .done, effects: [], detail: []) }
        moonbus_lane_output_clear(handle)
        return outcomes
    }
}

import MoonbusDispatch
import MoonbusLane
import Synchronization

extension PluginHost {
    /// Stops: no more reloads, handlers finish what they have, lanes end.
    ///
    /// Stop the host before its bus. What has not ended within the limit is due again when the bus runs the plugins the next time. Idempotent.
    ///
    /// - Parameter limit: how long handlers may take to finish.
    public func stop(within limit: Duration = .seconds(10)) async {
        // The watching thread posts to the owner and is joined here, where waiting for it blocks nobody who could hold it up.
        if let watcher = watcher.withLock({ $0.take() }) { watcher.stop() }
        let wasReached = await withCheckedContinuation { continuation in
            let isOpen = bus.owner.post { self.drainAll(within: limit) { continuation.resume(returning: true) } }
            if !isOpen { continuation.resume(returning: false) }
        }
        if !wasReached { endAllLanes() }  // the bus was stopped first: its thread is gone, and nobody else is here
        for (thread, lane) in takeEndedThreads() where thread.join() != nil { lane.unmap() }
        noticeboard.finish()
    }

    private func takeEndedThreads() -> [(thread: ThreadLane, lane: Lane)] {
        defer { endedThreads = [] }
        return endedThreads
    }

    private func drainAll(within limit: Duration, _ stopped: @escaping () -> Void) {
        guard phase == .running else {
            phase = .stopped
            return stopped()
        }
        phase = .stopping
        if let watchdogTimer { bus.owner.cancel(watchdogTimer) }
        for plugin in plugins.values {
            let waiting = (plugin.next?.waiting ?? []) + (plugin.loading?.request.waiting ?? [])
            bus.suspend(plugin: plugin.name)
            stopServing(plugin)
            for waiting in waiting { waiting(.failure(Self.stoppedError)) }
        }
        let waiters = idleWaiters
        idleWaiters = []
        for waiter in waiters { waiter() }
        whenStopped = stopped
        _ = bus.owner.timer(after: limit) { [weak self] in self?.finishStopping() }
        finishStoppingIfIdle()
    }

    /// Ends the lanes once the last delivery is answered.
    func finishStoppingIfIdle() {
        if phase == .stopping, lanes.allSatisfy({ $0.flights.count == 0 }) { finishStopping() }
    }

    private func finishStopping() {
        guard phase == .stopping else { return }
        phase = .stopped
        for lane in lanes {
            let late = lane.giveUp { _ in true }
            if !late.isEmpty { bus.settle(late.map { Outcome(delivery: $0, .interrupted) }) }
        }
        // Everything is answered or given up: a process can be killed, and a thread ends when its socket is closed.
        endAllLanes()
        whenStopped?()
        whenStopped = nil
    }
}

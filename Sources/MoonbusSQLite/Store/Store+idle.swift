internal import MoonbusEvents
internal import MoonbusJournal

/// What is done between transactions.
extension Store {
    /// Something is to be done once no calls come.
    var hasChores: Bool {
        log.isMarkDirty || mayForget || isHolding || log.behindCount >= CommitLog.framesWorthwhile
    }

    /// Does one small part of it. A failure changes nothing: whoever calls next hears of it, if it is still there.
    ///
    /// - Returns: true if there is more.
    func doChore() -> Bool {
        if mayForget {
            mayForget = forgetNow()
            return true
        }
        if isHolding || log.isOverlong {
            checkpointAlone()
        } else if log.behindCount >= CommitLog.framesWorthwhile {
            checkpoint()
        }
        try? log.sync()
        return false
    }

    /// Forgets a part of what is due, in a transaction of its own.
    ///
    /// - Returns: true if something was: there may be more.
    func forgetNow() -> Bool {
        now = clock.now()
        do throws(StoreFailure) {
            let wasDue = try forgetSome(Self.idleStep)
            try commit()
            return wasDue
        } catch {
            // Nothing has changed; whoever calls next hears of it, if it is still there.
            rollBack()
            return false
        }
    }

    /// Copies the log into the database file when it is long enough, whoever waits.
    func checkpointIfFull() {
        if isHolding || log.isOverlong { checkpointAlone() } else if log.isFull { checkpoint() }
    }

    /// Copies the log while nobody reads, so that the next commit starts it over: under reads that follow each other closely it would grow
    /// without end. Nobody waits here: reads do not begin, and it is tried again after the next commit or when nothing is to be done.
    private func checkpointAlone() {
        isHolding = true
        guard history.hold() else { return }
        checkpoint()
        isHolding = false
        history.letGo()
    }

    /// Leaves nothing in the log, so that the next opening finds a journal that was closed in good order.
    func close() {
        isHolding = false
        history.close()
        checkpoint()
        guard !log.isBehind else { return }
        // A mark that can't be written says less than is there: the next opening checks the file, and finds everything.
        try? log.closed()
    }

    private func checkpoint() {
        do throws(StoreFailure) {
            try log.checkpoint(connection)
        } catch {
            // The log holds everything that is committed and goes on growing. It is tried again after the next commit.
            log.postponeCheckpoint()
        }
    }
}

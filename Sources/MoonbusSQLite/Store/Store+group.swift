internal import MoonbusEvents
internal import MoonbusJournal

/// Group commit: calls that came together are committed together.
extension Store {
    /// Runs calls in their order, in one transaction, and answers them once it is committed.
    ///
    /// If SQLite fails, each one is tried again on its own: so one call cannot fail others, and reads are answered while nothing can be
    /// written.
    func run(_ calls: ArraySlice<Call>) {
        run(calls, mayForgetFirst: true)
    }

    private func run(_ calls: ArraySlice<Call>, mayForgetFirst: Bool) {
        now = clock.now()
        var answers: [() -> Void] = []
        answers.reserveCapacity(calls.count)
        do throws(StoreFailure) {
            for call in calls { answers.append(try perform(call)) }
            // What is not owed any more goes along: at least as much as came, so that the log does not outgrow its retention.
            if undo.isOpen { try forgetSome(64 + 2 * Int(next - undo.next)) }
            try commit()
        } catch {
            rollBack()
            if calls.count == 1 {
                // What may go goes before a call is refused for want of room.
                if mayForgetFirst, error.isFull, forgetNow() { return run(calls, mayForgetFirst: false) }
                for call in calls { call.fail(error.journalError(path: path)) }
            } else {
                for index in calls.indices { run(calls[index...index]) }
            }
            return
        }
        for answer in answers { answer() }
    }

    private func perform(_ call: Call) throws(StoreFailure) -> () -> Void {
        switch call {
        case .append(let events, let completion):
            let result = try result { () throws(StoreFailure) in try append(events) }
            return { completion(result) }
        case .claim(let claims, let completion):
            let result = try result { () throws(StoreFailure) in try claim(claims) }
            return { completion(result) }
        case .retire(let names, let completion):
            let result = try result { () throws(StoreFailure) in try retire(names) }
            return { completion(result) }
        case .settle(let settlements, let completion):
            let result = try result { () throws(StoreFailure) in try settle(settlements) }
            return { completion(result) }
        case .read(let question, let completion):
            // Nothing behind the end needs no look at the file.
            if case .events(let position, _, _) = question, position >= next - 1 { return { completion(.success(.events([]))) } }
            // Handed over with the answers, so after the commit of what came before it.
            if question.isHistory { return { [history] in history.answer(question, completion) } }
            let result = try result { () throws(StoreFailure) in try answer(question) }
            return { completion(result) }
        case .whileReading(let body): return { [history] in history.whileReading(body) }
        case .trim(let position, let owing, let completion):
            let first = trim(through: position, owing: owing)
            return { completion(.success(first)) }
        case .pragma(let text, let completion):
            let result = try result { () throws(StoreFailure) in try Query(connection, "PRAGMA \(text)").number() }
            return { completion(result) }
        }
    }

    /// A refusal is one call's own answer; anything else ends the transaction.
    private func result<Value>(_ body: () throws(StoreFailure) -> Value) throws(StoreFailure) -> Result<Value, JournalError> {
        do throws(StoreFailure) {
            return .success(try body())
        } catch {
            if case .refused(let error) = error { return .failure(error) }
            throw error
        }
    }
}

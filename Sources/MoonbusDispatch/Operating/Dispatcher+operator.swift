internal import MoonbusEvents
internal import MoonbusJournal

/// What an operator changes: commits that belong to no delivery.
extension Dispatcher {
    /// No subscription can have this name: theirs have no spaces.
    private static let operatorName = "an operator"
    /// For so long one refusal of the journal counts as trouble: with nothing to record, nobody would notice that it is over.
    private static let refusalSeconds: Int64 = 10

    /// Changes one value of a plugin's state, if it is as the operator has seen it, and tells the lanes.
    func edit(_ edit: StateEdit, _ completion: @escaping @Sendable (Result<StateEdit.Answer, JournalError>) -> Void) {
        let write: StateWrite
        if let value = edit.value {
            let expires = edit.lifetime.map { owner.clock.now() + $0 }
            write = StateWrite(key: edit.key, value: value, version: versions.next(), expires: expires)
        } else {
            write = StateWrite(deleting: edit.key)
        }
        let reads = edit.expected.map { [StateRead(key: edit.key, version: $0)] } ?? []
        let change = StateChange(plugin: edit.plugin, reads: reads, writes: [write])
        commitForOperator(.goesOn, Commit(state: change)) { result in
            completion(
                result.map { settled in
                    guard case .committed = settled else { return .conflict }
                    self.stateChanged?(edit.plugin, .edited([write]))
                    return .written(
                        edit.value.map { StateEntry(key: edit.key, value: $0, version: write.version, expires: write.expires) })
                })
        }
    }

    /// Settles nothing but a transition and its effects. The completion runs on the owner thread.
    func commitForOperator(
        _ transition: Transition, _ commit: Commit? = nil, _ completion: @escaping @Sendable (Result<Settled, JournalError>) -> Void
    ) {
        withOperatorNumber { number in
            let settlement: Settlement
            do throws(JournalError) {
                settlement = Settlement(try number.get(), .nothing, transition, commit: commit)
            } catch {
                return completion(.failure(error))
            }
            self.openCalls += 1
            self.journal.settle([settlement]) { result in
                self.onOwner {
                    self.openCalls -= 1
                    completion(result.map { $0.first ?? .hadEnded })
                }
            }
        }
    }

    /// A number of its own, retired as soon as it is there: a settlement needs one, and a name that nobody claims would hold up trimming.
    private func withOperatorNumber(_ body: @escaping @Sendable (Result<SubscriptionNumber, JournalError>) -> Void) {
        if let operatorNumber { return body(.success(operatorNumber)) }
        journal.claim([Claim(name: Self.operatorName)]) { claimed in
            self.journal.retire([Self.operatorName]) { retired in
                self.onOwner {
                    let number = retired.flatMap { claimed }.flatMap { claimed -> Result<SubscriptionNumber, JournalError> in
                        guard let first = claimed.first else { return .failure(JournalError(.misuse, "a claim was not answered")) }
                        return .success(first.number)
                    }
                    if case .success(let number) = number { self.operatorNumber = number }
                    body(number)
                }
            }
        }
    }

    /// Why the journal takes nothing, as far as is known; nil: it does.
    func journalTrouble() -> JournalError? {
        guard let refusal, now() - refusal.time < Self.refusalSeconds * 1_000_000_000 else { return nil }
        return refusal.error
    }
}

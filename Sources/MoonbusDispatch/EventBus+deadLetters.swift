package import MoonbusEvents
package import MoonbusJournal

extension EventBus {
    /// Dead letters, newest first. From any thread.
    package func deadLetters(limit: Int = 100) async throws(JournalError) -> [DeadLetter] {
        guard case .deadLetters(let letters) = try await ask(.deadLetters(limit: limit)) else { return [] }
        return letters
    }

    /// One dead letter; nil: there is none of that number. From any thread.
    package func deadLetter(_ id: UInt64) async throws(JournalError) -> DeadLetter? {
        guard case .deadLetters(let letters) = try await ask(.deadLetter(id: id)) else { return nil }
        return letters.first
    }

    /// Makes a dead letter due again, with all its attempts before it. From any thread.
    ///
    /// - Parameter data: what the event carries from now on; nil: what it carried. Everything else of it stays, its id too.
    /// - Throws: ``JournalError`` `.notFound` if there is no such letter, `.notServed` if its subscription is not there to take it.
    package func retry(deadLetter id: UInt64, data: JSON? = nil) async throws(JournalError) {
        try await perform { self.dispatcher.revive(id, data: data, $0) }
    }

    /// Gives up a dead letter for good. From any thread.
    ///
    /// - Throws: ``JournalError`` `.notFound` if there is no such letter.
    package func drop(deadLetter id: UInt64) async throws(JournalError) {
        try await perform { self.dispatcher.drop(id, $0) }
    }

    /// Does something on the owner thread and waits for what comes of it.
    func perform<Value: Sendable>(
        _ work: @escaping @Sendable (@escaping @Sendable (Result<Value, JournalError>) -> Void) -> Void
    ) async throws(JournalError) -> Value {
        let answer: Result<Value, JournalError> = await withCheckedContinuation { continuation in
            let isOpen = owner.post { work { continuation.resume(returning: $0) } }
            if !isOpen { continuation.resume(returning: .failure(JournalError(.unavailable, "the bus is stopped"))) }
        }
        return try answer.get()
    }

    /// Asks the journal. From any thread.
    package func ask(_ question: JournalQuestion) async throws(JournalError) -> JournalAnswer {
        try await perform { self.dispatcher.journal.read(question, completion: $0) }
    }
}

extension JournalError.Code {
    /// A dead letter's subscription is not there: load its plugin first.
    package static let notServed = Self("notServed")
}

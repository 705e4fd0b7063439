package import MoonbusJournal

extension EventBus {
    /// Dead letters, newest first. From any thread.
    package func deadLetters(limit: Int = 100) async throws(JournalError) -> [DeadLetter] {
        guard case .deadLetters(let letters) = try await ask(.deadLetters(limit: limit)) else { return [] }
        return letters
    }

    /// Makes a dead letter due again, with all its attempts before it. From any thread.
    ///
    /// - Throws: ``JournalError`` `.notFound` if there is no such letter, or its subscription is not there to take it.
    package func retry(deadLetter id: UInt64) async throws(JournalError) {
        let answer: Result<Void, JournalError> = await withCheckedContinuation { continuation in
            let isOpen = owner.post { self.dispatcher.revive(id) { continuation.resume(returning: $0) } }
            if !isOpen { continuation.resume(returning: .failure(JournalError(.unavailable, "the bus is stopped"))) }
        }
        try answer.get()
    }

    /// Asks the journal. From any thread.
    package func ask(_ question: JournalQuestion) async throws(JournalError) -> JournalAnswer {
        let answer: Result<JournalAnswer, JournalError> = await withCheckedContinuation { continuation in
            let isOpen = owner.post { self.dispatcher.journal.read(question) { continuation.resume(returning: $0) } }
            if !isOpen { continuation.resume(returning: .failure(JournalError(.unavailable, "the bus is stopped"))) }
        }
        return try answer.get()
    }
}

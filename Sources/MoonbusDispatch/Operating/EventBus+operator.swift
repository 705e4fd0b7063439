package import MoonbusEvents
package import MoonbusJournal

extension EventBus {
    /// Changes one value of a plugin's state: one commit of its own. Handlers that have read the value meanwhile run again. From any thread.
    package func edit(_ edit: StateEdit) async throws(JournalError) -> StateEdit.Answer {
        try await perform { self.dispatcher.edit(edit, $0) }
    }

    /// Why the journal records nothing at present, as it said when it refused last; nil when it works, or has not been asked for 10 s.
    package func journalTrouble() async -> JournalError? {
        await owner.perform { self.dispatcher.journalTrouble() } ?? nil
    }
}

/// A change of one value of a plugin's state that no handler makes.
package struct StateEdit: Sendable {
    /// What came of it.
    package enum Answer: Sendable {
        /// It is committed; nil: the key is absent now.
        case written(StateEntry?)
        /// The value was not the expected one any more: nothing has changed.
        case conflict
    }

    /// Whose state.
    package var plugin: String
    /// 1 to 512 bytes.
    package var key: String
    /// The new value; nil: the key is to be absent.
    package var value: JSON?
    /// After this time it becomes absent by itself; nil: never.
    package var lifetime: Duration?
    /// The version that must be there, 0 for none; nil: whatever is there.
    package var expected: UInt64?

    /// Creates a change.
    package init(plugin: String, key: String, value: JSON?, lifetime: Duration? = nil, expected: UInt64? = nil) {
        self.plugin = plugin
        self.key = key
        self.value = value
        self.lifetime = lifetime
        self.expected = expected
    }
}

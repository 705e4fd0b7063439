import MoonbusEvents
import MoonbusJournal
import MoonbusSQLite
import MoonbusTesting
import Testing

@Suite struct SQLiteJournalTests {
    @Test(arguments: JournalConformance.scenarios(for: [.survivesReopen, .isBounded]))
    func `keeps the contract of a journal`(scenario: JournalConformance.Scenario) async throws {
        let folders = TemporaryFolders()
        let options: @Sendable (Int?) -> SQLiteJournal.Options = { eventsMax in
            var options = SQLiteJournal.Options()
            options.retention = .init(age: .zero, size: 0, history: 0)
            if let eventsMax { options.limits.events = eventsMax }
            return options
        }
        let factory = JournalConformance.Factory(
            open: { try SQLiteJournal(folder: folders.next(), options: options($0)) },
            reopen: { journal in
                (journal as? SQLiteJournal)?.close()
                return try SQLiteJournal(folder: folders.last, options: options(nil))
            })
        try await scenario.run(on: factory)
    }
}

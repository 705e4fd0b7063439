internal import GRDB
internal import MoonbusEvents
internal import MoonbusJournal

/// The journal in one SQLite file.
enum SQLiteJournalPlaceholder {
    static let version = Database.logError == nil ? 1 : 2
}

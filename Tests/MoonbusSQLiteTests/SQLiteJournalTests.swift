import Testing

@testable import MoonbusSQLite

@Test func `placeholder`() { #expect(SQLiteJournalPlaceholder.version > 0) }

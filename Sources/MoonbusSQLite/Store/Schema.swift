internal import GRDB
internal import MoonbusJournal

/// The tables of `moonbus.db`.
///
/// **Conventions.** Times are microseconds since 1970 UTC. A `record` is an event record as in docs/frames.md, byte for byte. Positions,
/// versions and ids are unsigned 64-bit numbers kept in SQLite's signed ones, bit by bit. All tables are STRICT. `application_id` is "MOON".
///
/// **events**: the log. Appended at the end, deleted at the start, never changed.
///
/// | field | type | what |
/// |---|---|---|
/// | `position` | INTEGER, key | the event's place in the one order of all events, from 1; holes only where a damaged tail was given up |
/// | `record` | BLOB | the event |
///
/// **ids**: what recognises duplicates, also of events that were forgotten. One row for each commit that recorded events, instead of an index
/// over ids: an index takes a page at random for each event, here 12 bytes go to the end of the table. What is of
/// the last day is read at opening. A row stays as long as its events do.
///
/// | field | type | what |
/// |---|---|---|
/// | `first` | INTEGER, key | the position of the first event |
/// | `hashes` | BLOB | for it and each one that follows: u64, little endian, the keyed hash of source and id (`ByteHash`, its `place`) |
/// | `tags` | BLOB, null | for each of them: u32, little endian, of the keyed hash of the id alone: ``EventLookup``. Null: from before there were any |
///
/// **ages**: when positions were given, one row a minute at most. For the duplicate window and for retention by age.
///
/// | field | type | what |
/// |---|---|---|
/// | `position` | INTEGER, key | a position |
/// | `recorded` | INTEGER | when it was given |
///
/// **subscriptions**: a row for each durable name that was claimed and not retired. Written once for each commit in which it moved.
///
/// | field | type | what |
/// |---|---|---|
/// | `number` | INTEGER, key | ``SubscriptionNumber`` + 1; AUTOINCREMENT, so that none is used twice |
/// | `name` | TEXT, unique | the durable name |
/// | `floor` | INTEGER | everything at or below it has ended, except strays |
/// | `ended` | BLOB | stretches above it that have ended: u64 `after`, u64 `through` each, little endian, rising |
/// | `cursor` | TEXT, null | the source's cursor, JSON |
/// | `schedule` | INTEGER, null | when it is to run next |
///
/// **strays**: deliveries that left the order and are owed again. Key: `subscription`, `position`.
///
/// | field | type | what |
/// |---|---|---|
/// | `subscription` | INTEGER | as `subscriptions.number` |
/// | `position` | INTEGER | the event's place |
/// | `due` | INTEGER | not before this time |
/// | `failures` | BLOB | the runs that failed: see ``FailureRecord`` |
/// | `record` | BLOB | the event, kept although the log may have been trimmed past it |
///
/// **delayed**: events that wait for their time. Indexed by `due`: a bus reads the next few, not all.
///
/// | field | type | what |
/// |---|---|---|
/// | `number` | INTEGER, key | in the order in which they came |
/// | `due` | INTEGER | when to append it |
/// | `record` | BLOB | the event |
/// | `plugin` | TEXT, null | the plugin in whose share it counts. Null: nobody's, or from before there were shares |
///
/// **letters**: dead letters.
///
/// | field | type | what |
/// |---|---|---|
/// | `id` | INTEGER, key | AUTOINCREMENT from 1 |
/// | `subscription` | TEXT | the durable name |
/// | `position` | INTEGER | the event's place; 0 if it never had one |
/// | `died` | INTEGER | when it gave up |
/// | `failures`, `record` | BLOB | as in **strays** |
///
/// **state**: what plugins store. Key: `plugin`, `key`, compared bytewise.
///
/// | field | type | what |
/// |---|---|---|
/// | `plugin`, `key` | TEXT | whose, and which |
/// | `version` | INTEGER | a token that no other write has; never 0 |
/// | `expires` | INTEGER, null | when it becomes absent by itself |
/// | `value` | TEXT | JSON |
///
/// **settings**: numbers that belong to the file. `seed0`, `seed1`: of the hashes in **ids**. Secret: who knows them can prepare collisions.
///
/// **losses**: what was given up on purpose, when a damaged journal was opened with ``SQLiteJournal/Options/acceptsLoss``.
///
/// | field | type | what |
/// |---|---|---|
/// | `id` | INTEGER, key | in order |
/// | `time` | INTEGER | when |
/// | `committed` | INTEGER | the last position that had been committed by the high-water mark |
/// | `found` | INTEGER | the last one that was there |
/// | `reason` | TEXT | what was wrong, for people |
///
/// **Space.** `auto_vacuum` is off. Deleting the oldest events frees whole pages, which the next appends use again at once, so the file stays
/// at the size of its fullest hour. Incremental vacuum would give bytes back to the disk, but it moves pages and keeps a map of them: every
/// append would pay for that, to give back what the next hour needs again. Who wants a smaller file stops the journal and runs `VACUUM`.
enum Schema {
    /// "MOON".
    static let applicationID = 0x4D4F_4F4E

    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1 a journal in one file") { db in
            try db.execute(sql: "PRAGMA application_id = \(applicationID)")
            try db.execute(sql: first)
        }
        migrator.registerMigration("2 delayed events are found by their time") { db in
            try db.execute(sql: "CREATE INDEX delayed_due ON delayed (due)")
        }
        migrator.registerMigration("3 events are found by their id") { db in
            try db.execute(sql: "ALTER TABLE ids ADD COLUMN tags BLOB")
        }
        migrator.registerMigration("4 delayed events count in a plugin's share") { db in
            try db.execute(sql: "ALTER TABLE delayed ADD COLUMN plugin TEXT")
        }
        return migrator
    }

    /// What a row of `state` counts, as `StateEntry.size` does. Bytes, not characters: SQLite counts those of a text only.
    static let stateSize = "(length(CAST(key AS BLOB)) + length(CAST(value AS BLOB)) + \(StateEntry.overhead))"

    private static let first = """
        CREATE TABLE events (position INTEGER PRIMARY KEY, record BLOB NOT NULL) STRICT;
        CREATE TABLE ids (first INTEGER PRIMARY KEY, hashes BLOB NOT NULL) STRICT;
        CREATE TABLE ages (position INTEGER PRIMARY KEY, recorded INTEGER NOT NULL) STRICT;
        CREATE TABLE subscriptions (
            number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, floor INTEGER NOT NULL, ended BLOB NOT NULL,
            cursor TEXT, schedule INTEGER
        ) STRICT;
        CREATE TABLE strays (
            subscription INTEGER NOT NULL, position INTEGER NOT NULL, due INTEGER NOT NULL, failures BLOB NOT NULL, record BLOB NOT NULL,
            UNIQUE (subscription, position)
        ) STRICT;
        CREATE TABLE delayed (number INTEGER PRIMARY KEY, due INTEGER NOT NULL, record BLOB NOT NULL) STRICT;
        CREATE TABLE letters (
            id INTEGER PRIMARY KEY AUTOINCREMENT, subscription TEXT NOT NULL, position INTEGER NOT NULL, died INTEGER NOT NULL,
            failures BLOB NOT NULL, record BLOB NOT NULL
        ) STRICT;
        CREATE TABLE state (
            plugin TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, expires INTEGER, value TEXT NOT NULL,
            PRIMARY KEY (plugin, key)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX state_expires ON state (expires) WHERE expires IS NOT NULL;
        CREATE TABLE settings (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE losses (
            id INTEGER PRIMARY KEY, time INTEGER NOT NULL, committed INTEGER NOT NULL, found INTEGER NOT NULL, reason TEXT NOT NULL
        ) STRICT;
        """
}

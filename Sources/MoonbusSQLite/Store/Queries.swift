internal import GRDB

/// Every statement that the store runs, prepared once.
struct Queries {
    let begin, commit, rollback: Query

    let insertEvent, insertIDs, insertAge: Query
    let event, idsBefore: Query
    let deleteEvents, deleteIDs, deleteAges: Query

    let insertSubscription, deleteSubscription, deleteStraysOf: Query
    let saveProgress, saveCursor, saveSchedule, attributes, subscriptions: Query
    let insertStray, deleteStray, hasStray, strays: Query

    let insertDelayed, deleteDelayed, delayed: Query
    let insertLetter, deleteLetter: Query
    let saveState, deleteState, stateVersion, stateSize, state, sweepState: Query

    let pageCount, freePageCount, pageSize: Query

    init(_ db: Database) throws(StoreFailure) {
        begin = try Query(db, "BEGIN IMMEDIATE")
        commit = try Query(db, "COMMIT")
        rollback = try Query(db, "ROLLBACK")

        insertEvent = try Query(db, "INSERT INTO events (position, record) VALUES (?, ?)")
        insertIDs = try Query(db, "INSERT INTO ids (first, hashes, tags) VALUES (?, ?, ?)")
        insertAge = try Query(db, "INSERT OR REPLACE INTO ages (position, recorded) VALUES (?, ?)")
        event = try Query(db, "SELECT record FROM events WHERE position = ?")
        idsBefore = try Query(db, "SELECT first, hashes FROM ids WHERE first <= ? ORDER BY first DESC LIMIT 1")
        deleteEvents = try Query(db, "DELETE FROM events WHERE position <= ?")
        deleteIDs = try Query(db, "DELETE FROM ids WHERE first <= ?")
        deleteAges = try Query(db, "DELETE FROM ages WHERE position < ?")

        insertSubscription = try Query(
            db, "INSERT INTO subscriptions (name, floor, ended, schedule) VALUES (?, ?, x'', ?) RETURNING number")
        deleteSubscription = try Query(db, "DELETE FROM subscriptions WHERE number = ?")
        deleteStraysOf = try Query(db, "DELETE FROM strays WHERE subscription = ?")
        saveProgress = try Query(db, "UPDATE subscriptions SET floor = ?, ended = ? WHERE number = ?")
        saveCursor = try Query(db, "UPDATE subscriptions SET cursor = ? WHERE number = ?")
        saveSchedule = try Query(db, "UPDATE subscriptions SET schedule = ? WHERE number = ?")
        attributes = try Query(db, "SELECT cursor, schedule FROM subscriptions WHERE number = ?")
        subscriptions = try Query(db, "SELECT name, floor, cursor FROM subscriptions")
        insertStray = try Query(
            db, "INSERT OR REPLACE INTO strays (subscription, position, due, failures, record) VALUES (?, ?, ?, ?, ?)")
        deleteStray = try Query(db, "DELETE FROM strays WHERE subscription = ? AND position = ?")
        hasStray = try Query(db, "SELECT 1 FROM strays WHERE subscription = ? AND position = ?")
        strays = try Query(
            db, "SELECT position, due, failures, record FROM strays WHERE subscription = ? ORDER BY due, position")

        insertDelayed = try Query(db, "INSERT INTO delayed (number, due, record, plugin) VALUES (?, ?, ?, ?)")
        deleteDelayed = try Query(db, "DELETE FROM delayed WHERE number = ?")
        delayed = try Query(db, "SELECT due, record FROM delayed ORDER BY due, number LIMIT ?")
        insertLetter = try Query(
            db, "INSERT INTO letters (subscription, position, died, failures, record) VALUES (?, ?, ?, ?, ?)")
        deleteLetter = try Query(db, "DELETE FROM letters WHERE id = ? RETURNING subscription")
        saveState = try Query(
            db, "INSERT OR REPLACE INTO state (plugin, key, version, expires, value) VALUES (?, ?, ?, ?, ?)")
        deleteState = try Query(db, "DELETE FROM state WHERE plugin = ? AND key = ?")
        stateVersion = try Query(db, "SELECT version, expires FROM state WHERE plugin = ? AND key = ?")
        stateSize = try Query(db, "SELECT \(Schema.stateSize) FROM state WHERE plugin = ? AND key = ?")
        state = try Query(db, "SELECT key, version, expires, value FROM state WHERE plugin = ? AND key = ?")
        sweepState = try Query(
            db,
            "DELETE FROM state WHERE (plugin, key) IN (SELECT plugin, key FROM state WHERE expires <= ? LIMIT ?) "
                + "RETURNING plugin, \(Schema.stateSize)")

        pageCount = try Query(db, "PRAGMA page_count")
        freePageCount = try Query(db, "PRAGMA freelist_count")
        pageSize = try Query(db, "PRAGMA page_size")
    }
}

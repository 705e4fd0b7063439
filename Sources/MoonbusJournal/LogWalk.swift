/// A walk through the log from its end to its start, page by page, so that the journal answers others in between.
package enum LogWalk {
    /// How a journal is asked.
    package typealias Asking = @Sendable (JournalQuestion) async throws(JournalError) -> JournalAnswer

    private static let pageCount = 1_000

    /// Shows `visit` page after page, each in the order of the log, until it returns false or the start is reached.
    ///
    /// - Parameter end: the last position to show; nil: that of the log.
    /// - Returns: that position. What is recorded meanwhile is not shown.
    package static func back(
        from end: UInt64? = nil, _ ask: Asking, _ visit: ([RecordedEvent]) -> Bool
    ) async throws(JournalError) -> UInt64 {
        guard case .position(let last) = try await ask(.end) else { return 0 }
        let end = min(end ?? last, last)
        guard case .events(let oldest) = try await ask(.events(after: 0, limit: 1)), let first = oldest.first?.position else { return end }
        var high = end
        while high >= first {
            let low = high > UInt64(pageCount) ? high - UInt64(pageCount) : 0
            guard case .events(let page) = try await ask(.events(after: low, limit: pageCount)) else { break }
            // What was recorded since, and what lies behind a hole, comes after `high`.
            let visible = page.prefix { $0.position <= high }
            if !visible.isEmpty, !visit(Array(visible)) { break }
            high = low
            if high == 0 { break }
        }
        return end
    }
}

internal import MoonbusEvents
internal import MoonbusJournal

/// One call of the ``Journal``, on its way to the writer thread.
enum Call: Sendable {
    typealias Completion<Value> = @Sendable (Result<Value, JournalError>) -> Void

    case append([Event], Completion<[Recorded]>)
    case claim([Claim], Completion<[Claimed]>)
    case retire([String], Completion<Void>)
    case settle([Settlement], Completion<[Settled]>)
    case read(JournalQuestion, Completion<JournalAnswer>)
    case trim(UInt64, [SubscriptionNumber], Completion<UInt64>)
    case pragma(String, Completion<Int64>)
    case whileReading(@Sendable () -> Void)

    /// Events and settlements: how much it adds to a transaction.
    var weight: Int {
        switch self {
        case .append(let events, _): events.count
        case .settle(let settlements, _): settlements.count
        case .claim, .retire, .read, .trim, .pragma, .whileReading: 1
        }
    }

    func fail(_ error: JournalError) {
        switch self {
        case .append(_, let completion): completion(.failure(error))
        case .claim(_, let completion): completion(.failure(error))
        case .retire(_, let completion): completion(.failure(error))
        case .settle(_, let completion): completion(.failure(error))
        case .read(_, let completion): completion(.failure(error))
        case .trim(_, _, let completion): completion(.failure(error))
        case .pragma(_, let completion): completion(.failure(error))
        case .whileReading: break
        }
    }
}

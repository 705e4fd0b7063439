import MoonbusDispatch

/// The way back from other threads to the owner thread, for answers that are found out elsewhere.
struct Answers: Sendable {
    private let owner: OwnerThread

    init(_ owner: OwnerThread) { self.owner = owner }

    /// Runs `answer` on the owner thread; callable from any thread. When that thread has ended there is nobody left to be answered.
    func post(_ exchange: Exchange, _ answer: @escaping @Sendable (Exchange) -> Void) {
        owner.post { answer(exchange) }
    }
}

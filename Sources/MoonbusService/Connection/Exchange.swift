import NIOCore

/// One request on its way and the place of its answer in the connection's order.
///
/// Made and changed on the event-loop thread only. Other threads may hold it and hand it back through ``Answers``: that is
/// what makes it Sendable.
final class Exchange: @unchecked Sendable {
    /// Where the answer goes. A connection lets go of its exchanges when they are answered or it is gone, so this is no cycle that stays;
    /// a weak reference would cost an allocation for each request.
    private(set) var connection: Connection?
    /// The answer, once there is one. It leaves when every answer before it has left.
    var response: Response?
    let isHead: Bool
    /// HTTP/1.0 and `Connection: close`: the connection ends with this answer.
    let isLast: Bool

    init(_ connection: Connection, isHead: Bool, isLast: Bool) {
        self.connection = connection
        self.isHead = isHead
        self.isLast = isLast
    }

    /// Gives the answer; sent with everything else that is ready at the end of this turn of the event loop.
    func answer(_ response: Response) {
        guard self.response == nil else { return }
        self.response = response
        connection?.isDirty = true
    }

    /// Answers with a problem.
    func answer(_ problem: Problem) { answer(problem.response) }
}

import NIOCore

/// One request on its way and the place of its answer in the connection's order.
///
/// Made and changed on the owner thread only. Other threads may hold it and hand it back through ``Answers``: that is
/// what makes it Sendable.
final class Exchange: @unchecked Sendable {
    /// Where the answer goes. A connection lets go of its exchanges when they are answered or it is gone, so this is no cycle that stays;
    /// a weak reference would cost an allocation for each request.
    @exclusivity(unchecked) private(set) var connection: Connection?
    /// What was asked; nil for what is no request, and for one that was refused by its header.
    @exclusivity(unchecked) var request: Request?
    /// The answer, once there is one. It leaves when every answer before it has left.
    @exclusivity(unchecked) private(set) var response: Response?
    @exclusivity(unchecked) private var isAnswered = false
    let isHead: Bool
    /// HTTP/1.0 and `Connection: close`: the connection ends with this answer.
    let isLast: Bool

    init(_ connection: Connection, isHead: Bool, isLast: Bool) {
        self.connection = connection
        self.isHead = isHead
        self.isLast = isLast
    }

    /// Gives the answer; sent with everything else that is ready at the end of this turn.
    func answer(_ response: Response) {
        guard !isAnswered else { return }
        isAnswered = true
        self.response = response
        connection?.mark()
    }

    /// Answers with JSON that `write` appends. It goes straight to what the connection is about to send when no other answer is due before.
    func answer(_ status: Response.Status, _ write: (inout ByteBuffer) -> Void) {
        guard !isAnswered, let connection else { return }
        if connection.isNext(self) {
            isAnswered = true
            connection.send(status, write)
        } else {
            var body = ByteBuffer()
            write(&body)
            answer(.json(status, body))
        }
    }

    /// Answers with a problem.
    func answer(_ problem: Problem) { answer(problem.response) }
}

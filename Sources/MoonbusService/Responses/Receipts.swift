import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import NIOCore

extension Exchange {
    /// `202 {"id","position"}`; a list of them for a batch.
    func answer(recorded result: Result<[Receipt], EmitError>, isBatch: Bool) {
        switch result {
        case .failure(let error): answer(Problem(error))
        case .success(let receipts):
            answer(.accepted) { $0.write(receipts, isBatch: isBatch) { $0.writeRecorded($1) } }
        }
    }

    /// `200 {"id","results"}` when all handlers are done with it, or `202` with `pending` when the wait was over before.
    func answer(settled receipts: [Receipt], isBatch: Bool) {
        answer(receipts.allSatisfy { $0.pending == 0 } ? .ok : .accepted) { body in
            body.write(receipts, isBatch: isBatch) { $0.writeSettled($1) }
        }
    }
}

extension ByteBuffer {
    fileprivate mutating func write(_ receipts: [Receipt], isBatch: Bool, _ element: (inout ByteBuffer, Receipt) -> Void) {
        if isBatch {
            writeArray(receipts, element)
        } else if let receipt = receipts.first {
            element(&self, receipt)
        }
    }

    fileprivate mutating func writeRecorded(_ receipt: Receipt) {
        writeStaticString(#"{"id":"#)
        writeJSON(receipt.id)
        writeStaticString(#","position":"#)
        writeDecimal(Int(clamping: receipt.position))
        if receipt.isDuplicate { writeStaticString(#","duplicate":true"#) }
        if receipt.isEphemeral { writeStaticString(#","ephemeral":true"#) }
        writeStaticString("}")
    }

    fileprivate mutating func writeSettled(_ receipt: Receipt) {
        writeStaticString(#"{"id":"#)
        writeJSON(receipt.id)
        writeStaticString(#","position":"#)
        writeDecimal(Int(clamping: receipt.position))
        if receipt.isDuplicate { writeStaticString(#","duplicate":true"#) }
        if receipt.isEphemeral { writeStaticString(#","ephemeral":true"#) }
        if receipt.pending > 0 {
            writeStaticString(#","pending":"#)
            writeDecimal(receipt.pending)
        }
        writeStaticString(#","results":"#)
        writeArray(receipt.results) { $0.writeResult($1) }
        writeStaticString("}")
    }

    private mutating func writeResult(_ result: HandlerResult) {
        writeStaticString(#"{"subscription":"#)
        writeJSON(result.subscription)
        writeStaticString(#","status":""#)
        writeString(result.status.rawValue)
        writeStaticString(#"""#)
        if let value = result.result {
            writeStaticString(#","result":"#)
            writeJSON(value)
        }
        if let error = result.error {
            writeStaticString(#","error":"#)
            writeFault(error)
        }
        writeStaticString(#","attempts":"#)
        writeDecimal(result.attempts)
        writeStaticString("}")
    }

    /// Writes why a run failed.
    mutating func writeFault(_ fault: Fault) {
        var object = ObjectWriter()
        object.member("kind", fault.kind.rawValue)
        object.member("message", fault.message)
        object.member("file", fault.file)
        object.member("line", fault.line)
        var bytes = object.finish()
        writeBuffer(&bytes)
    }
}

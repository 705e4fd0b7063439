import MoonbusEvents
package import MoonbusJournal
package import NIOCore

/// What a journal holds, as JSON: the same from a running service and from the folder of a stopped one.
package enum RecordJSON {
    /// A recorded event with its place: `{"position","event"}`.
    package static func event(_ recorded: RecordedEvent) -> ByteBuffer {
        var object = ObjectWriter()
        object.member("position", recorded.position)
        object.member("event") { _ = $0.writeBytes(CloudEvent.encode(recorded.event)) }
        return object.finish()
    }

    /// A dead letter: who it was for, every error, and the event.
    package static func letter(_ letter: DeadLetter) -> ByteBuffer {
        var object = ObjectWriter()
        object.member("id", letter.id)
        object.member("subscription", letter.subscription)
        object.member("state", "dead")
        object.member("died", letter.died.description)
        object.member("attempts", letter.failures.last?.attempt)
        object.member("failures") { $0.writeArray(letter.failures) { $0.write(failure($1)) } }
        object.member("position", letter.position)
        object.member("event") { _ = $0.writeBytes(CloudEvent.encode(letter.event)) }
        return object.finish()
    }

    /// A value of a plugin's state. The version is text: it may be above 2^53, which many JSON readers round.
    package static func entry(_ entry: StateEntry) -> ByteBuffer {
        var object = ObjectWriter()
        object.member("key", entry.key)
        object.member("value") { $0.writeJSON(entry.value) }
        object.member("version", "\(entry.version)")
        object.member("expires", entry.expires?.description)
        return object.finish()
    }

    private static func failure(_ failure: FailedAttempt) -> ByteBuffer {
        var object = ObjectWriter()
        object.member("attempt", failure.attempt)
        object.member("time", failure.time.description)
        object.member("error") { $0.writeFault(failure.fault) }
        object.member("traceback", failure.fault.traceback)
        return object.finish()
    }
}

extension ByteBuffer {
    /// Appends what was made elsewhere.
    mutating func write(_ bytes: ByteBuffer) { writeImmutableBuffer(bytes) }
}

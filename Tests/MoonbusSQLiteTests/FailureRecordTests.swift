import MoonbusEvents
import MoonbusJournal
import Testing

@testable import MoonbusSQLite

@Suite struct FailureRecordTests {
    private let failures = [
        FailedAttempt(
            attempt: 1, time: Timestamp(microseconds: -5),
            fault: Fault(.error, "böse", file: "main.lua", line: 0, traceback: "in f\nin g")),
        FailedAttempt(attempt: 7, time: Timestamp(microseconds: .max), fault: Fault(.timeout, "")),
    ]

    @Test func `what was written is read back`() {
        #expect(FailureRecord.encode(failures).withUnsafeBytes { FailureRecord.decode($0) } == failures)
        #expect(FailureRecord.encode([]).withUnsafeBytes { FailureRecord.decode($0) } == [])
    }

    @Test func `what is cut off anywhere, or longer, is refused`() {
        let bytes = FailureRecord.encode(failures)
        for count in 0..<bytes.count {
            #expect(bytes[..<count].withUnsafeBytes { FailureRecord.decode($0) } == nil, "\(count) bytes")
        }
        #expect((bytes + [0]).withUnsafeBytes { FailureRecord.decode($0) } == nil)
    }
}

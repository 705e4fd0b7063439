import MoonbusDispatch
import MoonbusEvents
import Testing

@Suite struct CronScheduleTests {
    /// The next times of a schedule, as a person in UTC reads them.
    private func next(_ text: String, zone: String? = nil, after: String, count: Int = 1) throws -> [String] {
        let schedule = try CronSchedule(text, zone: zone)
        var time = try #require(Timestamp(rfc3339: after))
        return try (0..<count).map { _ in
            time = try #require(schedule.next(after: time))
            return time.description
        }
    }

    @Test(arguments: [
        ("* * * * *", "2026-03-01T10:00:00Z", "2026-03-01T10:01:00Z"),
        ("* * * * *", "2026-03-01T10:00:59.999Z", "2026-03-01T10:01:00Z"),
        ("30 7 * * *", "2026-03-01T07:30:00Z", "2026-03-02T07:30:00Z"),
        ("*/15 9-17 * * 1-5", "2026-02-27T17:45:00Z", "2026-03-02T09:00:00Z"),
        ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"),
        ("0 12 1,15 * *", "2026-03-01T12:00:00Z", "2026-03-15T12:00:00Z"),
        ("0 12 13 * fri", "2026-03-01T00:00:00Z", "2026-03-06T12:00:00Z"),
        ("0 12 13 * fri", "2026-03-07T00:00:00Z", "2026-03-13T12:00:00Z"),
        ("0 0 * jan,Dec *", "2026-02-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        ("5/20 * * * *", "2026-03-01T10:00:00Z", "2026-03-01T10:05:00Z"),
        ("0 0 * * 7", "2026-03-02T00:00:00Z", "2026-03-08T00:00:00Z"),
        ("0 0 * * sun", "2026-03-02T00:00:00Z", "2026-03-08T00:00:00Z"),
        ("0 0 31 * *", "2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z"),
        ("@hourly", "2026-03-01T10:30:00Z", "2026-03-01T11:00:00Z"),
        ("@daily", "2026-03-01T10:30:00Z", "2026-03-02T00:00:00Z"),
        ("@weekly", "2026-03-02T10:30:00Z", "2026-03-08T00:00:00Z"),
        ("@monthly", "2026-03-02T10:30:00Z", "2026-04-01T00:00:00Z"),
        ("@yearly", "2026-03-02T10:30:00Z", "2027-01-01T00:00:00Z"),
        ("0 0 1 1 *", "1969-06-01T00:00:00Z", "1970-01-01T00:00:00Z"),
    ])
    func `a schedule in UTC`(text: String, after: String, expected: String) throws {
        #expect(try next(text, after: after) == [expected])
    }

    @Test func `a schedule follows its zone through both changes of the clocks`() throws {
        #expect(
            try next("0 7 * * *", zone: "Europe/Berlin", after: "2026-03-27T12:00:00Z", count: 3)
                == ["2026-03-28T06:00:00Z", "2026-03-29T05:00:00Z", "2026-03-30T05:00:00Z"])
        #expect(
            try next("0 7 * * *", zone: "Europe/Berlin", after: "2026-10-24T12:00:00Z", count: 2)
                == ["2026-10-25T06:00:00Z", "2026-10-26T06:00:00Z"])
        #expect(try next("0 7 * * *", zone: "Asia/Kolkata", after: "2026-01-01T00:00:00Z") == ["2026-01-01T01:30:00Z"])
    }

    @Test func `times that are skipped fire once, right after the gap`() throws {
        // Berlin, 29 March 2026: 01:59:59 is followed by 03:00:00 (01:00 UTC).
        #expect(
            try next("30 2 * * *", zone: "Europe/Berlin", after: "2026-03-28T12:00:00Z", count: 2)
                == ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"])
        #expect(
            try next("*/20 2 * * *", zone: "Europe/Berlin", after: "2026-03-28T12:00:00Z", count: 2)
                == ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"])
        // Where the skipped time and an ordinary one fall together, it is one.
        #expect(
            try next("0 2,3 * * *", zone: "Europe/Berlin", after: "2026-03-28T12:00:00Z", count: 2)
                == ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"])
    }

    @Test func `a time that comes twice fires the first time`() throws {
        // Berlin, 25 October 2026: 02:59:59 (00:59:59 UTC) is followed by 02:00:00 (01:00 UTC).
        #expect(
            try next("30 2 * * *", zone: "Europe/Berlin", after: "2026-10-24T12:00:00Z", count: 2)
                == ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"])
        #expect(try next("30 2 * * *", zone: "Europe/Berlin", after: "2026-10-25T00:45:00Z") == ["2026-10-26T01:30:00Z"])
    }

    @Test func `a schedule of every hour keeps its rhythm through both changes`() throws {
        #expect(
            try next("*/30 * * * *", zone: "Europe/Berlin", after: "2026-03-29T00:29:00Z", count: 3)
                == ["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"])
        #expect(
            try next("*/30 * * * *", zone: "Europe/Berlin", after: "2026-10-25T00:29:00Z", count: 4)
                == ["2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"])
    }

    @Test func `a zone that changes by half an hour`() throws {
        // Lord Howe, 4 October 2026: 02:00 is followed by 02:30 (15:30 UTC the day before).
        #expect(try next("15 2 * * *", zone: "Australia/Lord_Howe", after: "2026-10-03T00:00:00Z") == ["2026-10-03T15:30:00Z"])
    }

    @Test(arguments: [
        ("60 * * * *", "minute"), ("* 24 * * *", "hour"), ("* * 0 * *", "day"), ("* * * 13 *", "month"), ("* * * * 8", "weekday"),
        ("* * * foo *", "month"), ("a * * * *", "minute"), ("5-1 * * * *", "minute"), ("*/0 * * * *", "minute"), ("1,,2 * * * *", "minute"),
        ("-1 * * * *", "minute"), ("1-2-3 * * * *", "minute"), ("1/2/3 * * * *", "minute"), ("* * * *", "four fields"), ("", "no fields"),
        ("* * * * * *", "six fields"), ("@never", "@hourly"), ("0 0 30 2 *", "never comes"), ("٣ * * * *", "minute"),
    ])
    func `what is not a schedule is refused with a reason`(text: String, word: String) {
        do {
            _ = try CronSchedule(text)
            Issue.record("'\(text)' was taken")
        } catch {
            let named = ["four fields": "4 fields", "no fields": "0 fields", "six fields": "6 fields"][word] ?? word
            #expect(error.message.contains(named))
        }
    }

    @Test func `an unknown zone is refused`() {
        #expect(throws: CronError.self) { try CronSchedule("* * * * *", zone: "Mars/Olympus") }
    }
}

import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import Testing

@Suite struct JournalTroubleTests {
    @Test func `a full journal is 503 with the reason and a time to come back, and reading goes on`() async throws {
        var limits = JournalLimits()
        limits.bytes = 4_000
        try await TestService.run(journal: InMemoryJournal(limits: limits)) { service async throws in
            #expect(try await service.ask("GET", "/health/ready").status == 200)
            var recorded = 0
            var refused: RawConnection.Reply?
            while refused == nil, recorded < 1_000 {
                let reply = try await service.ask("POST", "/events/a", body: #""\#(String(repeating: "x", count: 500))""#)
                if reply.status == 202 { recorded += 1 } else { refused = reply }
            }
            let reply = try #require(refused)
            #expect(reply.status == 503)
            #expect(reply.fields["retry-after"] == "1")
            #expect(reply["code"] == "journal")
            let ready = try await service.ask("GET", "/health/ready")
            #expect(ready.status == 503)
            #expect(ready["detail"] == reply["detail"])
            #expect(try await service.ask("GET", "/events")["events"]?.array?.count == recorded)
        }
    }
}

internal import MoonbusEvents
internal import MoonbusJournal

extension JournalConformance {
    static let stating: [Scenario] = [
        Scenario("a value is read back with a version that rises with each write") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            try bench.expect(try await journal.value("p", "k"), is: nil, "before")
            try await journal.settle(claimed, .nothing, .done, Sample.write("k", #"{"n": 1}"#))
            let first = try await journal.value("p", "k")
            try await journal.settle(claimed, .nothing, .done, Sample.write("k", #"{"n": 2}"#))
            let second = try await journal.value("p", "k")
            try bench.expect(first?.value, is: try JSON(#"{"n": 1}"#), "the first value")
            try bench.expect(second?.value, is: try JSON(#"{"n": 2}"#), "the second value")
            try bench.expect((first?.version ?? 0) > 0 && (second?.version ?? 0) > (first?.version ?? 0), "versions rise from above 0")
        },
        Scenario("a write that saw the present version is committed, one that saw an older is not") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            try await journal.settle(claimed, .nothing, .done, Sample.write("k", "1"))
            let version = try await journal.value("p", "k")?.version ?? 0
            let seen = [StateRead(key: "k", version: version)]
            let good = try await journal.settle(claimed, .nothing, .done, Sample.write("k", "2", reads: seen))
            let stale = try await journal.settle(claimed, .nothing, .done, Sample.write("k", "3", reads: seen))
            try bench.expect(good, is: .committed([]), "the present version")
            try bench.expect(stale, is: .conflict(keys: ["k"]), "the older version")
            try bench.expect(try await journal.value("p", "k")?.value, is: try JSON("2"), "the value")
        },
        Scenario("a deleted key is absent, and its old version is not the absent one") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            try await journal.settle(claimed, .nothing, .done, Sample.write("k", "1"))
            let version = try await journal.value("p", "k")?.version ?? 0
            try await journal.settle(claimed, .nothing, .done, Sample.write("k", nil))
            try bench.expect(try await journal.value("p", "k"), is: nil, "after the deletion")
            let old = try await journal.settle(
                claimed, .nothing, .done, Sample.write("k", "2", reads: [StateRead(key: "k", version: version)]))
            try bench.expect(old, is: .conflict(keys: ["k"]), "with the old version")
            let absent = try await journal.settle(
                claimed, .nothing, .done, Sample.write("k", "2", reads: [StateRead(key: "k", version: 0)]))
            try bench.expect(absent, is: .committed([]), "as absent")
            let again = try await journal.value("p", "k")?.version ?? 0
            try bench.expect(again > version, "a version is not used again")
        },
        Scenario("of several writes of one key in a settlement the last one wins") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let writes = [
                StateWrite(key: "k", value: try JSON("1")), StateWrite(key: "k", value: nil), StateWrite(key: "k", value: try JSON("3")),
            ]
            try await journal.settle(claimed, .nothing, .done, Commit(state: StateChange(plugin: "p", writes: writes)))
            try bench.expect(try await journal.value("p", "k")?.value, is: try JSON("3"), "the value")
        },
        Scenario("a value that has expired is absent for readers and for versions") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let past = Subject.now - .seconds(1)
            let future = Subject.now + .seconds(3_600)
            try await journal.settle(claimed, .nothing, .done, Sample.write("old", "1", expires: past))
            try await journal.settle(claimed, .nothing, .done, Sample.write("new", "1", expires: future))
            try bench.expect(try await journal.value("p", "old"), is: nil, "the expired value")
            try bench.expect(try await journal.value("p", "new")?.expires, is: future, "when the other expires")
            try bench.expect(try await journal.value("p", "new", now: future), is: nil, "the other at its end")
            try bench.expect(try await journal.scan("p", ""), is: ["new"], "a scan")
            let absent = try await journal.settle(
                claimed, .nothing, .done, Sample.write("old", "2", reads: [StateRead(key: "old", version: 0)]))
            try bench.expect(absent, is: .committed([]), "a write that saw it absent")
        },
        Scenario("a scan gives the keys with a prefix in bytewise order, page by page") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            for key in ["b:2", "a", "b:10", "b", "c", "b:ä", "b:Z"] {
                try await journal.settle(claimed, .nothing, .done, Sample.write(key, "0"))
            }
            try await journal.settle(claimed, .nothing, .done, Sample.write("b:1", "0", plugin: "other"))
            try bench.expect(try await journal.scan("p", "b:"), is: ["b:10", "b:2", "b:Z", "b:ä"], "all")
            try bench.expect(try await journal.scan("p", "b:", limit: 2), is: ["b:10", "b:2"], "the first page")
            try bench.expect(try await journal.scan("p", "b:", after: "b:2", limit: 2), is: ["b:Z", "b:ä"], "the second page")
            try bench.expect(try await journal.scan("p", "x"), is: [], "nothing")
        },
        Scenario("plugins don't see each other's state") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            try await journal.settle(claimed, .nothing, .done, Sample.write("k", "1", plugin: "p"))
            try await journal.settle(claimed, .nothing, .done, Sample.write("k", "2", plugin: "q"))
            try bench.expect(try await journal.value("p", "k")?.value, is: try JSON("1"), "of p")
            try bench.expect(try await journal.value("q", "k")?.value, is: try JSON("2"), "of q")
            try bench.expect(try await journal.value("r", "k"), is: nil, "of r")
        },
    ]
}

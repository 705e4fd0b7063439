internal import MoonbusEvents
internal import MoonbusJournal

extension JournalConformance {
    static let stating: [Scenario] = [
        Scenario("a value is read back with the version that its writer chose") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            try bench.expect(try await journal.value("p", "k"), is: nil, "before")
            try await journal.settle(claimed, .nothing, .done, Sample.write("k", #"{"n": 1}"#, version: UInt64(Int64.max)))
            let first = try await journal.value("p", "k")
            try await journal.settle(claimed, .nothing, .done, Sample.write("k", #"{"n": 2}"#, version: 3))
            let second = try await journal.value("p", "k")
            try bench.expect(first?.value, is: try JSON(#"{"n": 1}"#), "the first value")
            try bench.expect(second?.value, is: try JSON(#"{"n": 2}"#), "the second value")
            try bench.expect(first?.version, is: UInt64(Int64.max), "the first version")
            try bench.expect(second?.version, is: 3, "the second version, a smaller one")
        },
        Scenario("a write that saw the present version is committed, one that saw an older is not") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            try await journal.settle(claimed, .nothing, .done, Sample.write("k", "1", version: 8))
            let seen = [StateRead(key: "k", version: 8)]
            let good = try await journal.settle(claimed, .nothing, .done, Sample.write("k", "2", version: 2, reads: seen))
            let stale = try await journal.settle(claimed, .nothing, .done, Sample.write("k", "3", version: 9, reads: seen))
            try bench.expect(good, is: .committed([]), "the present version")
            try bench.expect(stale, is: .conflict(keys: ["k"]), "the older version")
            try bench.expect(try await journal.value("p", "k")?.value, is: try JSON("2"), "the value")
        },
        Scenario("settlements of one call may build on each other's writes") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let settled = try await journal.settle([
                Settlement(
                    claimed.number, .nothing, .done,
                    commit: Sample.write("k", "1", version: 50, reads: [StateRead(key: "k", version: 0)])),
                Settlement(
                    claimed.number, .nothing, .done,
                    commit: Sample.write("k", "2", version: 40, reads: [StateRead(key: "k", version: 50)])),
            ])
            try bench.expect(settled, is: [.committed([]), .committed([])], "the answers")
            try bench.expect(try await journal.value("p", "k")?.version, is: 40, "the version")
        },
        Scenario("a deleted key is absent, and made again it is another one") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let version: UInt64 = 7
            try await journal.settle(claimed, .nothing, .done, Sample.write("k", "1", version: version))
            try await journal.settle(claimed, .nothing, .done, Sample.write("k", nil))
            try bench.expect(try await journal.value("p", "k"), is: nil, "after the deletion")
            let old = try await journal.settle(
                claimed, .nothing, .done, Sample.write("k", "2", reads: [StateRead(key: "k", version: version)]))
            try bench.expect(old, is: .conflict(keys: ["k"]), "with the old version")
            let absent = try await journal.settle(
                claimed, .nothing, .done, Sample.write("k", "1", version: 6, reads: [StateRead(key: "k", version: 0)]))
            try bench.expect(absent, is: .committed([]), "as absent")
            let again = try await journal.settle(
                claimed, .nothing, .done, Sample.write("k", "3", reads: [StateRead(key: "k", version: version)]))
            try bench.expect(again, is: .conflict(keys: ["k"]), "with the version of its first life")
        },
        Scenario("of several writes of one key in a settlement the last one wins") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let writes = [
                StateWrite(key: "k", value: try JSON("1"), version: 1), StateWrite(deleting: "k"),
                StateWrite(key: "k", value: try JSON("3"), version: 3), StateWrite(key: "l", value: try JSON("1"), version: 4),
                StateWrite(deleting: "l"),
            ]
            try await journal.settle(claimed, .nothing, .done, Commit(state: StateChange(plugin: "p", writes: writes)))
            try bench.expect(try await journal.value("p", "k"), is: StateEntry(key: "k", value: try JSON("3"), version: 3), "the value")
            try bench.expect(try await journal.value("p", "l"), is: nil, "the deleted one")
        },
        Scenario("a value that has expired is absent for readers and for versions") { bench in
            let journal = try await bench.open()
            let claimed = try await journal.claim("s")
            let past = Subject.now - .seconds(1)
            let future = Subject.now + .seconds(3_600)
            try await journal.settle(claimed, .nothing, .done, Sample.write("old", "1", version: 7, expires: past))
            try await journal.settle(claimed, .nothing, .done, Sample.write("new", "1", expires: future))
            try bench.expect(try await journal.value("p", "old"), is: nil, "the expired value")
            try bench.expect(try await journal.value("p", "new")?.expires, is: future, "when the other expires")
            try bench.expect(try await journal.value("p", "new", now: future), is: nil, "the other at its end")
            try bench.expect(try await journal.scan("p", ""), is: ["new"], "a scan")
            let present = try await journal.settle(
                claimed, .nothing, .done, Sample.write("other", "2", reads: [StateRead(key: "old", version: 7)]))
            try bench.expect(present, is: .conflict(keys: ["old"]), "a run that saw it before it expired")
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

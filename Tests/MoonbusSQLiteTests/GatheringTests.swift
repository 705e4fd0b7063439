import Testing

@testable import MoonbusSQLite

@Suite struct GatheringTests {
    /// Not in the expectation itself, which must not change anything.
    private func wait(_ gathering: inout Gathering, having count: Int) -> (count: Int, limit: Duration)? {
        gathering.wait(having: count)
    }

    @Test func `a lone call is taken at once, and so is a group as large as the last one`() {
        var gathering = Gathering()
        #expect(wait(&gathering, having: 1) == nil)
        gathering.committed(1, in: .microseconds(200))
        #expect(wait(&gathering, having: 1) == nil)
        gathering.committed(8, in: .microseconds(200))
        #expect(wait(&gathering, having: 8) == nil)
    }

    @Test func `the rest of the last group is waited for, half of its time and two milliseconds at most`() {
        var gathering = Gathering()
        gathering.committed(8, in: .microseconds(200))
        let rest = wait(&gathering, having: 3)
        #expect(rest?.count == 5)
        #expect(rest?.limit == .microseconds(100))
        gathering.waited(isComplete: true)
        gathering.committed(8, in: .seconds(1))
        #expect(wait(&gathering, having: 3)?.limit == .milliseconds(2))
    }

    @Test func `after a wait that ran out nobody is waited for in the next 64 groups`() {
        var gathering = Gathering()
        gathering.committed(8, in: .microseconds(200))
        #expect(wait(&gathering, having: 3) != nil)
        gathering.waited(isComplete: false)
        for _ in 0..<64 {
            gathering.committed(8, in: .microseconds(200))
            #expect(wait(&gathering, having: 3) == nil)
        }
        gathering.committed(8, in: .microseconds(200))
        #expect(wait(&gathering, having: 3) != nil, "they may be quicker now")
    }
}

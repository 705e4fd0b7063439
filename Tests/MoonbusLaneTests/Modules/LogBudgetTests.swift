import Testing

@testable import MoonbusLane

@Suite struct LogBudgetTests {
    private static let second: Int64 = 1_000_000_000

    @Test func `a thousand lines at once are written, the next is announced as suppressed, the others are silent`() {
        var budget = LogBudget()
        for _ in 0..<1_000 { #expect(budget.take(now: 0) == .write(suppressed: 0)) }
        #expect(budget.take(now: 0) == .warn)
        for _ in 0..<50 { #expect(budget.take(now: 0) == .suppress) }
    }

    @Test func `after a second lines are written again, and the first says how many were suppressed`() {
        var budget = LogBudget()
        for _ in 0..<1_010 { _ = budget.take(now: 0) }
        #expect(budget.take(now: Self.second / 2) == .suppress)
        #expect(budget.take(now: Self.second) == .write(suppressed: 11))
        #expect(budget.take(now: Self.second) == .write(suppressed: 0))
    }

    @Test func `two hundred lines a second are never suppressed`() {
        var budget = LogBudget()
        for line in Int64(0)..<10_000 { #expect(budget.take(now: line * Self.second / 200) == .write(suppressed: 0)) }
    }
}

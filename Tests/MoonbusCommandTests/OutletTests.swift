import Dispatch
import Synchronization
import Testing

@testable import MoonbusCommand

@Suite struct OutletTests {
    /// A reader that reads nothing until it is told to.
    private final class Reader: Sendable {
        let text = Mutex("")
        let gate = DispatchSemaphore(value: 0)

        func take(_ lines: String) {
            gate.wait()
            gate.signal()
            text.withLock { $0 += lines }
        }
    }

    @Test func `lines arrive in order, and in the place of those that did not fit stands how many they were`() {
        let reader = Reader()
        let outlet = Outlet(note: { "(\($0) missing)" }, write: reader.take)
        let long = String(repeating: "x", count: Outlet.sizeMax / 4 - 1) + "\n"
        outlet.put("first\n")
        for _ in 1...40 { outlet.put(long) }
        outlet.put("small, but behind the gap\n")
        outlet.drain(within: .milliseconds(1))
        #expect(reader.text.withLock { $0 }.isEmpty)
        reader.gate.signal()
        outlet.drain(within: .seconds(20))
        outlet.put("last\n")
        outlet.drain(within: .seconds(20))
        let lines = reader.text.withLock { $0 }.split(separator: "\n").map(String.init)
        #expect(lines.first == "first" && lines.last == "last")
        let missing = lines.compactMap { $0.hasPrefix("(") ? Int($0.dropFirst().prefix { $0.isNumber }) : nil }
        let kept = lines.count { $0.hasPrefix("x") }
        #expect(missing.reduce(kept, +) == 41)
        #expect((4...8).contains(kept))
        #expect(lines.dropLast().last?.hasPrefix("(") == true)
    }
}

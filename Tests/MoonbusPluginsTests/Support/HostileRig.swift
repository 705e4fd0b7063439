import MoonbusEvents
import MoonbusTesting
import Testing

@testable import MoonbusLane
@testable import MoonbusPlugins

/// A plugin named `hostile` on a lane that says what a test wants, and a witness on an honest lane, who must notice nothing.
enum HostileRig {
    /// What an honest lane would have answered.
    static let honest = "bus.subscribe('hostile.go', { name = 'go', retry = { attempts = 1 } }, function() return 'honest' end)"

    private static let witness = """
        bus.subscribe('witness.ask', { name = 'ask' }, function() return kv.get('secret') end)
        bus.subscribe('witness.keep', { name = 'keep' }, function(event) kv.set('secret', event.data) end)
        """

    /// Runs `body` with both loaded. The hostile lane loads like any other; `answer` says what it does with its deliveries.
    ///
    /// - Parameters:
    ///   - afterReply: the lane answers its deliveries with `"replied"` once the host has answered one of its calls.
    ///   - isRefused: the plugin can't be loaded from that lane; it is loaded again on an honest one.
    static func run(
        manifest: String? = nil, declarations: String = FakeLane.subscription(to: "hostile.go"), afterReply: Bool = false,
        isRefused: Bool = false, answer: @escaping @Sendable (FakeLane.Talk) -> Void, _ body: (Rig, _ lane: Int) async throws -> Void
    ) async throws {
        try await Rig.run(lanes: .threads(count: 1)) { rig in
            try await rig.host.load("witness", source: witness)
            try await rig.settle("witness.keep", "mine")
            let home = await rig.status("witness")?.lanes
            let lane = try await FakeLane.install(for: "hostile", in: rig.host) { frame, talk in
                switch frame {
                case .load: talk.loaded(declarations)
                case .deliver: answer(talk)
                case .reply where afterReply && !talk.deliveries.isEmpty:
                    talk.answer(.done, detail: Array(#""replied""#.utf8))
                    talk.deliveries = []
                default: break
                }
            }
            if isRefused {
                let error = await #expect(throws: PluginError.self) {
                    try await rig.host.load("hostile", source: honest, manifest: manifest)
                }
                #expect(error?.code == .laneDied)
            }
            try await rig.host.load("hostile", source: honest, manifest: manifest)
            try await body(rig, lane)
            #expect(try await rig.answer("witness.ask") == "mine")
            #expect(await rig.status("witness")?.lanes == home)
        }
    }
}

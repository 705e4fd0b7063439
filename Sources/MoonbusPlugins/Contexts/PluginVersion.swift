import MoonbusDispatch
import MoonbusEvents
import MoonbusLane

/// One version of a plugin: what the bus delivers to. State of the owner thread.
///
/// A version lives from its loading to the last answer of its contexts. It serves between two calls of `bus.replace`: the one that put it
/// in, and the one that put its successor in.
final class PluginVersion: HandlerEndpoint {
    let plugin: Plugin
    let source: PluginSource
    let manifest: Manifest
    /// Counts the versions of this plugin that served; 0 until it does.
    var number = 0
    /// Those that are not gone.
    private(set) var contexts: [PluginContext] = []
    /// What it declared; only until the bus has it, in its own form: most of it is options that nobody uses.
    private(set) var declarations = Declarations()
    /// Names of what it declared: subscriptions, sources, timers.
    private(set) var names: [String] = []
    /// Functions of sources that run until they are told to end.
    private(set) var endless: Set<Int32> = []
    /// Functions of sources that are polled: what they return is their new cursor.
    private(set) var pollers: Set<Int32> = []
    /// A successor serves; this one only finishes what it has.
    var isDraining = false
    /// The load that brings it in, until that is over.
    weak var load: PluginLoad?

    init(plugin: Plugin, source: PluginSource, manifest: Manifest) {
        self.plugin = plugin
        self.source = source
        self.manifest = manifest
    }

    /// Deliveries that its contexts have and have not answered.
    var flightCount: Int { contexts.reduce(0) { $0 + $1.flightCount } }

    func declare(_ declarations: Declarations) {
        self.declarations = declarations
        names = declarations.subscriptions.map(\.name) + declarations.sources.map(\.name) + declarations.timers.map(\.name)
        endless = Set(declarations.sources.lazy.filter { $0.schedule == .run }.map(\.function))
        pollers = Set(declarations.sources.lazy.filter { $0.schedule != .run }.map(\.function))
    }

    /// Why the plugin may not emit events of this type; nil when it may.
    func refusal(toEmit type: EventType) -> String? {
        if type.isReserved {
            return "'\(type)': types that begin with 'moonbus.' are reserved for Moonbus itself: choose another first word"
        }
        if manifest.permissions.permitsEmitting(type) { return nil }
        return "plugin '\(plugin.name)' may not emit '\(type)': add it to emit under [permissions] in plugin.toml"
    }

    func forgetDeclarations() { declarations = Declarations() }

    func add(_ context: PluginContext) { contexts.append(context) }

    func remove(_ context: PluginContext) { contexts.removeAll { $0 === context } }

    // MARK: HandlerEndpoint

    var room: Int {
        guard !isDraining else { return 0 }
        return contexts.reduce(0) { $0 + $1.room }
    }

    func deliver(_ deliveries: [Delivery]) {
        deliveries.withUnsafeBufferPointer { deliveries in
            if contexts.count == 1 { return contexts[0].lane.send(deliveries, to: contexts[0]) }
            for index in deliveries.indices {
                // The freest one: the bus keeps keys in order, so any context may have any delivery.
                guard let context = contexts.max(by: { $0.room < $1.room }) else {
                    preconditionFailure("deliveries for a version without contexts")
                }
                context.lane.send(UnsafeBufferPointer(rebasing: deliveries[index...index]), to: context)
            }
        }
    }

    func cancel(_ delivery: UInt64, reason: String) {
        for context in contexts { context.lane.cancel(reason: reason) { $0.delivery == delivery && $0.context === context } }
    }
}

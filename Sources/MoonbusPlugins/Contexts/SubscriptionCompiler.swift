import MoonbusDispatch
import MoonbusEvents
import MoonbusLane

/// Turns what a plugin declared into what the bus serves. The lane checked the declarations; but a lane is not believed, and filters, schedules
/// and zones are known to the host only.
struct SubscriptionCompiler {
    /// Bytes of all filters of a plugin as JSON: the bus's own thread tests each event against them.
    private static let filterSizeMax = 64 << 10

    private let version: PluginVersion
    private let main: String

    init(_ version: PluginVersion) {
        self.version = version
        main = version.source.shownPath(of: "main.lua")
    }

    /// - Throws: ``PluginError`` `.badDeclaration` or `.denied`, with the line of the declaration.
    func specs() throws(PluginError) -> [SubscriptionSpec] {
        let declarations = version.declarations
        var specs: [SubscriptionSpec] = []
        var filterSize = 0
        for subscription in declarations.subscriptions {
            filterSize += subscription.filter?.withUnsafeBytes { $0.count } ?? 0
            guard filterSize <= Self.filterSizeMax else {
                throw error(
                    .badDeclaration, subscription.line,
                    "the plugin's `where` filters have more than \(Self.filterSizeMax) bytes of JSON together",
                    hint: "every event is held against them while everybody waits: match by type, or test in the handler")
            }
            specs.append(try spec(subscription))
        }
        for source in declarations.sources { specs.append(try spec(source)) }
        for timer in declarations.timers {
            specs.append(
                SubscriptionSpec(
                    name: name(timer.name), plugin: version.plugin.name, trigger: try trigger(timer.schedule, line: timer.line),
                    handler: timer.function, policy: policy(), missed: missed(timer.missed)))
        }
        return specs
    }

    private func spec(_ declared: Declarations.Subscription) throws(PluginError) -> SubscriptionSpec {
        guard version.manifest.permissions.permitsSubscribing(to: declared.pattern) else {
            throw error(
                .denied, declared.line, "the manifest doesn't permit subscribing to '\(declared.pattern)'",
                hint: "add it to subscribe under [permissions] in plugin.toml")
        }
        var filter: Filter?
        if let json = declared.filter {
            do { filter = try Filter(json) } catch { throw self.error(.badDeclaration, declared.line, "where: \(error.message)") }
        }
        var policy = policy()
        policy.key = key(declared.key)
        if let concurrency = declared.concurrency { policy.concurrency = concurrency }
        if let attempts = declared.retry.attempts { policy.retry.attempts = attempts }
        if let backoff = declared.retry.backoff { policy.retry.backoff = backoff }
        if let backoffMax = declared.retry.backoffMax { policy.retry.backoffMax = backoffMax }
        if let timeout = declared.timeout { policy.timeout = timeout }
        policy.cpuLimit = declared.cpuLimit
        policy.batch = declared.batch.map { BatchPolicy(count: $0.count, within: $0.within) }
        policy.debounce = declared.debounce
        policy.throttle = declared.throttle
        return SubscriptionSpec(
            name: name(declared.name), plugin: version.plugin.name, trigger: .events(declared.pattern, filter), handler: declared.function,
            policy: policy, argument: declared.batch == nil ? .event : .events)
    }

    private func spec(_ declared: Declarations.Source) throws(PluginError) -> SubscriptionSpec {
        var policy = policy()
        policy.concurrency = 1
        let isRunning = declared.schedule == .run
        if isRunning { policy.timeout = Self.unlimited }
        return SubscriptionSpec(
            name: name(declared.name), plugin: version.plugin.name, trigger: try trigger(declared.schedule, line: declared.line),
            handler: declared.function, resultHandler: declared.result, policy: policy, argument: .data, hasCursor: !isRunning,
            missed: missed(declared.missed))
    }

    /// A source that runs for ever has no wall-clock limit. Not `.max`: the bus adds it to a time.
    private static let unlimited: Duration = .seconds(100 * 365 * 86_400)

    private func trigger(_ schedule: Declarations.Schedule, line: Int?) throws(PluginError) -> SubscriptionSpec.Trigger {
        switch schedule {
        case .run: return .start
        case .every(let interval): return .every(interval)
        case .cron(let text, let zone):
            do { return .cron(try CronSchedule(text, zone: zone)) } catch { throw self.error(.badDeclaration, line, "\(error)") }
        }
    }

    private func missed(_ declared: Declarations.Missed) -> MissedTicks {
        switch declared {
        case .skip: .skip
        case .once: .once
        case .all: .all
        }
    }

    private func policy() -> SubscriptionPolicy { SubscriptionPolicy(timeout: version.manifest.limits.wait) }

    private func key(_ text: String?) -> OrderingKey {
        switch text {
        case nil: .default
        case "type": .type
        case "subject": .subject
        case let path?: .path(path.split(separator: ".").dropFirst().map(String.init))
        }
    }

    private func name(_ declared: String) -> String { "\(version.plugin.name).\(declared)" }

    private func error(_ code: PluginError.Code, _ line: Int?, _ message: String, hint: String? = nil) -> PluginError {
        PluginError(
            code, plugin: version.plugin.name, file: main, line: line, message: message, source: version.source.text(of: "main.lua"),
            hint: hint)
    }
}

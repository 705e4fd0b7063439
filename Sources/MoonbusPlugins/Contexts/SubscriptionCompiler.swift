import MoonbusDispatch
import MoonbusEvents
import MoonbusLane

/// Turns what a plugin declared into what the bus serves. The lane checked the declarations; but a lane is not believed, and filters, schedules
/// and zones are known to the host only.
struct SubscriptionCompiler {
    /// Bytes of all filters of a plugin as JSON: the bus's own thread tests each event against them.
    private static let filterSizeMax = 64 << 10

    /// Deliveries that a plugin may be owed: each takes some 150 bytes of the host's memory, however small its event is.
    private static let owedMax = 1_000_000

    private let version: PluginVersion

    init(_ version: PluginVersion) {
        self.version = version
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
                    .badDeclaration, subscription.place,
                    "the plugin's `where` filters have more than \(Self.filterSizeMax) bytes of JSON together",
                    hint: "every event is held against them while everybody waits: match by type, or test in the handler")
            }
            specs.append(try spec(subscription))
        }
        for source in declarations.sources { specs.append(try spec(source)) }
        for timer in declarations.timers {
            specs.append(
                SubscriptionSpec(
                    name: name(timer.name), plugin: version.plugin.name, trigger: try trigger(timer.schedule, at: timer.place),
                    handler: timer.function, policy: policy(), missed: missed(timer.missed)))
        }
        for index in specs.indices { specs[index].stateSizeMax = version.manifest.limits.stateBytes }
        return specs
    }

    private func spec(_ declared: Declarations.Subscription) throws(PluginError) -> SubscriptionSpec {
        guard version.manifest.permissions.permitsSubscribing(to: declared.pattern) else {
            throw error(
                .denied, declared.place, "the manifest doesn't permit subscribing to '\(declared.pattern)'",
                hint: "add it to subscribe under [permissions] in plugin.toml")
        }
        var filter: Filter?
        if let json = declared.filter {
            do { filter = try Filter(json) } catch {
                throw self.error(.badDeclaration, declared.place, "where of '\(declared.name)': \(error.message)")
            }
        }
        var policy = policy()
        policy.key = key(declared.key)
        if let concurrency = declared.concurrency { policy.concurrency = concurrency }
        if let attempts = declared.retry.attempts { policy.retry.attempts = attempts }
        if let backoff = declared.retry.backoff { policy.retry.backoff = backoff }
        if let backoffMax = declared.retry.backoffMax { policy.retry.backoffMax = backoffMax }
        let limits = version.manifest.limits
        if let timeout = try bounded(declared.timeout, by: limits.boundsWait ? limits.wait : nil, "timeout", "wait", of: declared) {
            policy.timeout = timeout
        }
        policy.cpuLimit = try bounded(declared.cpuLimit, by: limits.boundsCPU ? limits.cpu : nil, "cpu", "cpu", of: declared)
        policy.batch = declared.batch.map { BatchPolicy(count: $0.count, within: $0.within) }
        policy.debounce = declared.debounce
        policy.throttle = declared.throttle
        return SubscriptionSpec(
            name: name(declared.name), plugin: version.plugin.name, trigger: .events(declared.pattern, filter), handler: declared.function,
            policy: policy, argument: declared.batch == nil ? .event : .events)
    }

    /// Refuses an option that goes beyond what the manifest says: limits are the operator's. Where the manifest says nothing, the default is only
    /// a default.
    private func bounded(
        _ given: Duration?, by limit: Duration?, _ option: String, _ key: String, of declared: Declarations.Subscription
    ) throws(PluginError) -> Duration? {
        guard let given, let limit, given > limit else { return given }
        let (asked, allowed) = (DurationText.format(given), DurationText.format(limit))
        throw error(
            .denied, declared.place, "\(option) of '\(declared.name)' is \(asked), but plugin.toml limits it to \(allowed)",
            hint: "ask for at most \(allowed), or set \(key) = \"\(asked)\" under [limits] in plugin.toml")
    }

    private func spec(_ declared: Declarations.Source) throws(PluginError) -> SubscriptionSpec {
        var policy = policy()
        policy.concurrency = 1
        let isRunning = declared.schedule == .run
        if isRunning { policy.timeout = Self.unlimited }
        return SubscriptionSpec(
            name: name(declared.name), plugin: version.plugin.name, trigger: try trigger(declared.schedule, at: declared.place),
            handler: declared.function, resultHandler: declared.result, policy: policy, argument: .data, hasCursor: !isRunning,
            missed: missed(declared.missed))
    }

    /// A source that runs for ever has no wall-clock limit. Not `.max`: the bus adds it to a time.
    private static let unlimited: Duration = .seconds(100 * 365 * 86_400)

    private func trigger(_ schedule: Declarations.Schedule, at place: Declarations.Place) throws(PluginError) -> SubscriptionSpec.Trigger {
        switch schedule {
        case .run: return .start
        case .every(let interval): return .every(interval)
        case .cron(let text, let zone):
            do { return .cron(try CronSchedule(text, zone: zone)) } catch {
                throw self.error(.badDeclaration, place, "schedule \"\(text)\": \(error)")
            }
        }
    }

    private func missed(_ declared: Declarations.Missed) -> MissedTicks {
        switch declared {
        case .skip: .skip
        case .once: .once
        case .all: .all
        }
    }

    private func policy() -> SubscriptionPolicy {
        var policy = SubscriptionPolicy(timeout: version.manifest.limits.wait)
        let declared = version.declarations
        let count = declared.subscriptions.count + declared.sources.count + declared.timers.count
        policy.queueLimit = min(policy.queueLimit, Self.owedMax / max(1, count))
        return policy
    }

    private func key(_ text: String?) -> OrderingKey {
        switch text {
        case nil: .default
        case "type": .type
        case "subject": .subject
        case let path?: .path(path.split(separator: ".").dropFirst().map(String.init))
        }
    }

    private func name(_ declared: String) -> String { "\(version.plugin.name).\(declared)" }

    private func error(
        _ code: PluginError.Code, _ place: Declarations.Place, _ message: String, hint: String? = nil
    ) -> PluginError {
        let path = place.file ?? "main.lua"
        return PluginError(
            code, plugin: version.plugin.name, file: version.source.shownPath(of: path), line: place.line, message: message,
            source: version.source.text(of: path), hint: hint)
    }
}

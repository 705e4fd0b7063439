package import MoonbusEvents

/// What a plugin's `main.lua` declared while it loaded: the JSON of a `loaded` frame, typed.
///
/// Written by the lane (``json``), read by the host (``init(_:)``). Functions are references into the context that
/// declared them; they are the same in every context that loaded the same sources, or that context is refused.
package struct Declarations: Sendable, Hashable {
    /// Bounds of one plugin (corpus s34); the lane refuses the declaration that goes beyond, with its line.
    package static let subscriptionsMax = 1_000
    /// Timers and sources together.
    package static let timersMax = 1_000

    package var subscriptions: [Subscription] = []
    package var sources: [Source] = []
    package var timers: [Timer] = []

    package init() {}

    package struct Subscription: Sendable, Hashable {
        /// Unique in its plugin, also among sources and timers.
        package var name: String
        package var pattern: EventPattern
        package var function: Int32
        /// `where=`: an EventBridge pattern, as the script gave it; the host compiles it.
        package var filter: JSON?
        /// `"type"`, `"subject"`, or a path in the data: `"data.customer"`.
        package var key: String?
        package var concurrency: Int?
        package var retry = Retry()
        package var timeout: Duration?
        package var cpuLimit: Duration?
        package var batch: Batch?
        package var debounce: Duration?
        package var throttle: Duration?
        /// Where it was declared.
        package var place = Place()

        package init(name: String, pattern: EventPattern, function: Int32) {
            self.name = name
            self.pattern = pattern
            self.function = function
        }
    }

    /// Where something was declared.
    package struct Place: Sendable, Hashable {
        /// The module, such as `lib/rules.lua`; nil: `main.lua`.
        package var file: String?
        /// From 1; nil when unknown.
        package var line: Int?

        package init(file: String? = nil, line: Int? = nil) {
            self.file = file
            self.line = line
        }
    }

    /// What `retry=` says; nil is the host's default.
    package struct Retry: Sendable, Hashable {
        package var attempts: Int?
        package var backoff: Duration?
        package var backoffMax: Duration?

        package init() {}
    }

    package struct Batch: Sendable, Hashable {
        package var count: Int
        package var within: Duration

        package init(count: Int, within: Duration) {
            self.count = count
            self.within = within
        }
    }

    /// When a source or timer runs.
    package enum Schedule: Sendable, Hashable {
        case every(Duration)
        /// Five fields or `@hourly`…, and an IANA zone (nil: UTC); the host compiles both.
        case cron(String, timezone: String?)
        /// A source that runs for ever.
        case run
    }

    /// What becomes of ticks whose time passed while nobody could run them; the host says what each means.
    package enum Missed: String, Sendable, Hashable, CaseIterable {
        case skip, once, all
    }

    package struct Source: Sendable, Hashable {
        package var name: String
        package var schedule: Schedule
        /// `poll`, or `run` when the schedule is `.run`.
        package var function: Int32
        package var result: Int32?
        package var missed = Missed.once
        package var place = Place()

        package init(name: String, schedule: Schedule, function: Int32) {
            self.name = name
            self.schedule = schedule
            self.function = function
        }
    }

    package struct Timer: Sendable, Hashable {
        package var name: String
        /// Never `.run`.
        package var schedule: Schedule
        package var function: Int32
        package var missed = Missed.once
        package var place = Place()

        package init(name: String, schedule: Schedule, function: Int32) {
            self.name = name
            self.schedule = schedule
            self.function = function
        }
    }
}

internal import CLuaShim

/// What one context may use. Every bound has an answer: refused, interrupted, or cut.
package struct LuaLimits: Sendable, Hashable {
    /// Cap of everything that Lua allocates, 1 MiB to 4 GiB. Past it: "not enough memory".
    package var memoryBytes = 64 << 20
    /// CPU time of one run: a load, a delivery, or one stretch between two waits. Past it the run is interrupted.
    package var cpu: Duration = .seconds(1)
    /// CPU time after ``cpu`` until a run that no interrupt reaches, stuck in a library function, is cut with its context.
    package var grace: Duration = .milliseconds(250)
    /// Effects that one delivery may stage, in bytes.
    package var effectBytes = 4 << 20
    /// Events that one delivery may emit.
    package var effectCount = 1_000
    /// One emitted event's data as JSON, in bytes.
    package var eventBytes = 256 << 10

    package init() {}

    func options(identifier: UInt64) -> moonbus_context_options {
        var options = moonbus_context_options()
        options.identifier = identifier
        options.memory_bytes = memoryBytes
        options.cpu_us = cpu.microseconds
        options.grace_us = grace.microseconds
        options.effect_bytes_max = UInt32(clamping: effectBytes)
        options.effect_count_max = UInt32(clamping: effectCount)
        options.event_bytes_max = UInt32(clamping: eventBytes)
        return options
    }
}

extension Duration {
    var microseconds: UInt64 {
        UInt64(clamping: components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000)
    }
}

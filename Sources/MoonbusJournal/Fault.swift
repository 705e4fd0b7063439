public import MoonbusEvents

/// Why one run of a handler failed, as a person reads it and as a dead letter keeps it.
public struct Fault: Error, Sendable, Hashable, CustomStringConvertible {
    /// What kind of failure it was. The raw values are the words of `docs/frames.md`.
    public enum Kind: String, Sendable, Hashable {
        /// The handler raised an error.
        case error
        /// It needed more memory than its context may have.
        case memory
        /// It overran its CPU limit, or the wall-clock limit of its subscription's policy.
        case timeout
        /// It was cut together with its context.
        case killed
        /// It did something that its manifest does not allow.
        case denied
        /// Other runs kept changing the state that it had read.
        case conflict
        /// A subscription that it emitted to had no room for too long, or its plugin's share of state or delayed events is used up.
        case full
        /// What it emitted had gone through too many handlers already.
        case loop
        /// It rejected the event on purpose.
        case rejected
        /// It could not be compiled.
        case syntax
    }

    /// What kind of failure it was.
    public var kind: Kind
    /// What happened, to what, and what to do; at most 4 KiB.
    public var message: String
    /// The plugin's file, relative to its folder.
    public var file: String?
    /// The line in `file`, from 1.
    public var line: Int?
    /// Where it happened, innermost call first; at most 4 KiB.
    public var traceback: String?

    /// Creates a fault; only a fault of a script has a place.
    public init(_ kind: Kind, _ message: String, file: String? = nil, line: Int? = nil, traceback: String? = nil) {
        self.kind = kind
        self.message = message
        self.file = file
        self.line = line
        self.traceback = traceback
    }

    /// Kind, message and place.
    public var description: String {
        var text = "\(kind.rawValue): \(message)"
        if let file { text += " (\(file)\(line.map { ":\($0)" } ?? ""))" }
        return text
    }
}

/// One failed run: which attempt it was, when it ended, and why.
public struct FailedAttempt: Sendable, Hashable {
    /// Counts from 1. A run that was lost with its lane is not counted, so no attempt is missing.
    public var attempt: Int
    /// When the run ended.
    public var time: Timestamp
    /// Why it failed.
    public var fault: Fault

    /// Creates the record of one failed run.
    public init(attempt: Int, time: Timestamp, fault: Fault) {
        self.attempt = attempt
        self.time = time
        self.fault = fault
    }
}

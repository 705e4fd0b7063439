import Glibc

/// How a lane ended.
enum LaneEnd: Equatable, CustomStringConvertible {
    case exited(status: Int32)
    case signalled(Int32)
    /// The host ended it: what it sent was no frame, or it ran or was silent for too long.
    case broke(String)
    /// The host ended it because one plugin held it while others waited: nobody broke it.
    case yielded
    /// Its end of the socket is closed: a thread that ended, or a process that has not been waited for.
    case closed

    var description: String {
        switch self {
        case .exited(let status): "its lane ended with status \(status)"
        case .signalled(let signal): "its lane died with signal \(Self.name(of: signal))"
        case .broke(let why): "its lane was ended by the host: \(why)"
        case .yielded: "its lane was held by one plugin while others waited"
        case .closed: "its lane closed its socket"
        }
    }

    /// Whether the code that ran may be to blame. A SIGKILL that is not ours comes from a person or from the kernel when memory is
    /// short, and says nothing about the one plugin that happened to run.
    var blamesPlugin: Bool {
        switch self {
        case .signalled(let signal): signal != SIGKILL && signal != SIGTERM && signal != SIGINT && signal != SIGHUP
        case .exited(let status): status != 0
        case .broke: true
        case .closed, .yielded: false
        }
    }

    static func name(of signal: Int32) -> String {
        let names: [Int32: String] = [
            SIGSEGV: "SIGSEGV", SIGABRT: "SIGABRT", SIGBUS: "SIGBUS", SIGILL: "SIGILL", SIGFPE: "SIGFPE", SIGKILL: "SIGKILL",
            SIGSYS: "SIGSYS",
            SIGTERM: "SIGTERM", SIGXCPU: "SIGXCPU", SIGTRAP: "SIGTRAP", SIGHUP: "SIGHUP", SIGINT: "SIGINT",
        ]
        return names[signal] ?? "\(signal)"
    }
}

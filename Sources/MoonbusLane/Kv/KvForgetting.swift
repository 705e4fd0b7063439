/// Which copy of a value a context forgets.
///
/// What a context knows may be newer than what the host tells: it ran on. So it forgets only what the host knows to be wrong; to forget
/// more would make every run that follows ask, at the same time, and meet the next conflict.
package enum KvForgetting: Sendable, Equatable {
    /// Whatever it knows.
    case always
    /// A copy with this version (0: that the key is absent): that is not true any more, or never was.
    case version(UInt64)
    /// Any copy but one with this version: that one is true now.
    case othersThan(UInt64)

    init(rule: UInt32, version: UInt64) throws(FrameError) {
        switch rule {
        case 0: self = .always
        case 1: self = .version(version)
        case 2: self = .othersThan(version)
        default: throw FrameError(.badValue, "no rule of forgetting has the number \(rule)")
        }
    }

    var fields: (rule: UInt32, version: UInt64) {
        switch self {
        case .always: (0, 0)
        case .version(let version): (1, version)
        case .othersThan(let version): (2, version)
        }
    }

    func applies(to version: UInt64) -> Bool {
        switch self {
        case .always: true
        case .version(let wrong): version == wrong
        case .othersThan(let right): version != right
        }
    }
}

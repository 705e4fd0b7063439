internal import CLuaShim

/// How a run ended, or that it has not.
package enum LuaStatus: UInt32, Sendable {
    case done = 0
    /// A host function said wait; the task is to be resumed or cancelled.
    case waiting = 1
    case failed = 2
    case memory = 3
    /// Interrupted at the CPU limit. The context lives on.
    case timeout = 4
    /// Cut. The context is dead and takes nothing any more; its waiting tasks are lost.
    case killed = 5
    /// No such task, or the context is dead.
    case stale = 6
    case rejected = 7
    case retry = 8
    case cancelled = 9

    init(_ status: moonbus_status) {
        guard let known = LuaStatus(rawValue: status.rawValue) else {
            preconditionFailure("the shim has a status that Swift does not know")
        }
        self = known
    }
}

/// Why a load failed.
package struct LuaFault: Error, Sendable, Hashable, CustomStringConvertible {
    package let status: LuaStatus
    /// `{"kind", "message", "file", "line", "traceback"}`, as docs/frames.md ("Error JSON") lays it out.
    package let json: String

    package var description: String { json }
}

/// What one run came to: an outcome record, taken apart.
package struct LuaOutcome: Sendable, Hashable {
    package let delivery: UInt64
    package let status: LuaStatus
    /// Staged effects in the form of docs/frames.md ("Effects"); empty unless the run was done, or is a checkpoint (``LuaStatus/waiting``).
    package let effects: [UInt8]
    /// The result as JSON, an error as JSON, or a reason.
    package let detail: [UInt8]

    package var text: String { String(decoding: detail, as: UTF8.self) }

    /// The record at the start of `bytes`, and its size.
    static func read(_ bytes: UnsafeRawBufferPointer) -> (outcome: LuaOutcome, size: Int) {
        let effectsSize = Int(bytes.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
        let detailSize = Int(bytes.loadUnaligned(fromByteOffset: 16, as: UInt32.self))
        let effectsEnd = 24 + effectsSize
        let outcome = LuaOutcome(
            delivery: bytes.loadUnaligned(as: UInt64.self),
            status: LuaStatus(moonbus_status(UInt32(bytes[8]))),
            effects: Array(bytes[24..<effectsEnd]),
            detail: Array(bytes[effectsEnd..<(effectsEnd + detailSize)]))
        return (outcome, Int(bytes.loadUnaligned(fromByteOffset: 20, as: UInt32.self)))
    }
}

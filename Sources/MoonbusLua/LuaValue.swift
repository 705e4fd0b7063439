internal import CLuaShim

/// A value that crosses between Swift and Lua. Tables cross as JSON text.
package enum LuaValue: Sendable, Hashable {
    case absent
    case boolean(Bool)
    case integer(Int64)
    case number(Double)
    /// Bytes that are not UTF-8 are repaired on the way in.
    case string(String)
    case json(String)
    /// A reference that ``LuaContext/deliver(_:to:)`` takes.
    case function(Int32)
}

extension LuaValue {
    init(_ value: moonbus_value) {
        switch moonbus_kind(rawValue: value.kind) {
        case MOONBUS_BOOLEAN: self = .boolean(value.as.integer != 0)
        case MOONBUS_INTEGER: self = .integer(value.as.integer)
        case MOONBUS_NUMBER: self = .number(value.as.number)
        case MOONBUS_STRING: self = .string(value.text)
        case MOONBUS_JSON: self = .json(value.text)
        case MOONBUS_FUNCTION: self = .function(Int32(truncatingIfNeeded: value.as.integer))
        default: self = .absent
        }
    }
}

extension moonbus_value {
    fileprivate var text: String {
        String(decoding: UnsafeRawBufferPointer(start: self.as.bytes, count: Int(size)), as: UTF8.self)
    }
}

/// Values in the form the shim reads, and the bytes that they point to.
///
/// The shim reads results after the host function has returned: the owner keeps this until its next call.
struct LuaValueList {
    private(set) var values: [moonbus_value] = []
    private var texts: [UnsafeMutableBufferPointer<CChar>] = []

    mutating func append(_ value: LuaValue) {
        var flat = moonbus_value()
        switch value {
        case .absent: flat.kind = MOONBUS_NIL.rawValue
        case .boolean(let flag): (flat.kind, flat.as.integer) = (MOONBUS_BOOLEAN.rawValue, flag ? 1 : 0)
        case .integer(let integer): (flat.kind, flat.as.integer) = (MOONBUS_INTEGER.rawValue, integer)
        case .number(let number): (flat.kind, flat.as.number) = (MOONBUS_NUMBER.rawValue, number)
        case .string(let text): point(&flat, at: text, MOONBUS_STRING)
        case .json(let text): point(&flat, at: text, MOONBUS_JSON)
        case .function(let reference): (flat.kind, flat.as.integer) = (MOONBUS_FUNCTION.rawValue, Int64(reference))
        }
        values.append(flat)
    }

    private mutating func point(_ flat: inout moonbus_value, at text: String, _ kind: moonbus_kind) {
        let utf8 = text.utf8
        let copy = UnsafeMutableBufferPointer<CChar>.allocate(capacity: max(utf8.count, 1))
        _ = copy.initialize(from: utf8.lazy.map { CChar(bitPattern: $0) })
        texts.append(copy)
        flat.kind = kind.rawValue
        flat.size = UInt32(utf8.count)
        flat.as.bytes = UnsafePointer(copy.baseAddress)
    }

    mutating func removeAll() {
        for text in texts { text.deallocate() }
        texts.removeAll(keepingCapacity: true)
        values.removeAll(keepingCapacity: true)
    }
}

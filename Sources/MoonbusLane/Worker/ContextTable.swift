/// The contexts of a lane, by the host's number for them.
///
/// Looked up once a delivery, so it is a flat array: hosts number contexts from 1 and may use a number again after its
/// context is gone. Numbers beyond ``flatMax`` go to a dictionary.
struct ContextTable {
    private static let flatMax = 1 << 16

    private var flat: [LaneContext?] = []
    /// `flat` without ownership, for the look-up of each delivery: to retain the context cost as much as finding it.
    private var handles: [Unmanaged<LaneContext>?] = []
    private var sparse: [UInt32: LaneContext] = [:]

    subscript(identifier: UInt32) -> LaneContext? {
        @inline(__always) get {
            let index = Int(identifier)
            if index < flat.count { return flat[index] }
            return sparse.isEmpty ? nil : sparse[identifier]
        }
        set {
            let index = Int(identifier)
            guard index < Self.flatMax else {
                sparse[identifier] = newValue
                return
            }
            if index >= flat.count {
                guard newValue != nil else { return }
                flat.append(contentsOf: repeatElement(nil, count: max(index + 1, min(2 * flat.count, Self.flatMax)) - flat.count))
            }
            flat[index] = newValue
            handles += repeatElement(nil, count: flat.count - handles.count)
            handles[index] = newValue.map(Unmanaged.passUnretained)
        }
    }

    /// The context with that number, which the table keeps alive: good until it is taken out.
    @inline(__always)
    func unmanaged(_ identifier: UInt32) -> Unmanaged<LaneContext>? {
        let index = Int(identifier)
        return index < handles.count ? handles[index] : self[identifier].map(Unmanaged.passUnretained)
    }

    /// Empties the table and returns what was in it.
    mutating func removeAll() -> [LaneContext] {
        let contexts = flat.compactMap(\.self) + sparse.values
        flat = []
        handles = []
        sparse = [:]
        return contexts
    }
}

import MoonbusEvents

/// Deliveries that a lane has and has not answered.
///
/// On the wire a delivery has a number of ours: its slot here (from 1) in the low half, the slot's generation in the high half. A lane
/// can therefore name no delivery but its own unanswered ones, and finding one costs an index. Slots are reused, last freed first.
struct Flights {
    struct Flight {
        /// The bus's id of the delivery.
        var delivery: UInt64
        /// The context that has it; nil while the slot is free.
        var context: PluginContext?
        /// The delivery's event, for what the handler asks for meanwhile.
        var event: Event?
        /// Whether it is the run of a source, which ends only when it is told to.
        var isEndless: Bool
        /// The function that it calls, and which attempt it is.
        var handler: Int32
        var attempt: UInt16
        /// How many of its calls wait for their answer: with any, it holds no CPU.
        var callCount: UInt16 = 0
        var generation: UInt32 = 0
    }

    private var slots: [Flight] = []
    private var free: [UInt32] = []

    /// How many are unanswered.
    var count: Int { slots.count - free.count }

    /// Takes a delivery in and numbers it. Numbers are never 0.
    mutating func add(_ new: Flight) -> UInt64 {
        var flight = new
        guard let slot = free.popLast() else {
            slots.append(flight)
            return UInt64(slots.count)
        }
        flight.generation = slots[Int(slot)].generation
        slots[Int(slot)] = flight
        return UInt64(flight.generation) << 32 | UInt64(slot + 1)
    }

    /// The slot of a number; nil when the lane answered it already, or never had it.
    func slot(of number: UInt64) -> Int? {
        let slot = Int(number & 0xFFFF_FFFF) - 1
        guard slot >= 0, slot < slots.count, slots[slot].generation == UInt32(number >> 32), slots[slot].context != nil else { return nil }
        return slot
    }

    subscript(slot: Int) -> Flight {
        get { slots[slot] }
        _modify { yield &slots[slot] }
    }

    /// Frees a slot; its number means nothing from now on.
    mutating func remove(slot: Int) {
        slots[slot].context = nil
        slots[slot].event = nil
        slots[slot].generation &+= 1
        free.append(UInt32(slot))
    }

    /// The numbers of all that are unanswered and fit. Looks at every slot: for deaths and cancellations, not for the way of an event.
    func numbers(where fits: (Flight) -> Bool) -> [UInt64] {
        slots.indices.compactMap { slot in
            slots[slot].context != nil && fits(slots[slot]) ? UInt64(slots[slot].generation) << 32 | UInt64(slot + 1) : nil
        }
    }
}

import MoonbusEvents

/// Deliveries that a lane has and has not answered. State of the owner thread.
///
/// On the wire a delivery has a number of ours: its slot here (from 1) in the low half, the slot's generation in the high half. A lane
/// can therefore name no delivery but its own unanswered ones, and finding one costs an index. Slots are reused, last freed first; free
/// ones form a list through `delivery`.
///
/// Memory of its own rather than an array: each delivery touches it three times, and an array in a class pays for that with checks.
final class Flights {
    struct Flight {
        /// The bus's id of the delivery; of a free slot: the next free slot + 1.
        var delivery: UInt64
        /// The context that has it; nil while the slot is free. Unmanaged, because to retain it cost a tenth of a delivery: the lane's table of
        /// contexts keeps it alive, and a context leaves that table only after its flights are closed.
        var holder: Unmanaged<PluginContext>?
        /// The function that it calls.
        var handler: Int32
        /// How many of its calls wait for their answer: with any, it holds no CPU.
        var callCount: UInt16 = 0
        /// Whether it is the run of a source, which ends only when it is told to.
        var isEndless: Bool
        var generation: UInt32 = 0

        /// The context that has it; nil while the slot is free.
        var context: PluginContext? { holder?.takeUnretainedValue() }
    }

    private var slots: UnsafeMutablePointer<Flight>
    private var capacity = 64
    /// Slots that were ever used.
    private var used = 0
    /// The first free slot + 1; 0: none.
    private var firstFree: UInt64 = 0
    /// How many are unanswered.
    private(set) var count = 0

    init() { slots = .allocate(capacity: capacity) }

    deinit {
        slots.deinitialize(count: used)
        slots.deallocate()
    }

    /// Takes a delivery in and numbers it. Numbers are never 0.
    @inline(__always)
    func add(_ new: Flight) -> UInt64 {
        count += 1
        let slot: Int
        if firstFree > 0 {
            slot = Int(firstFree) - 1
            firstFree = slots[slot].delivery
            let generation = slots[slot].generation
            slots[slot] = new
            slots[slot].generation = generation
        } else {
            if used == capacity { grow() }
            slot = used
            used += 1
            (slots + slot).initialize(to: new)
        }
        return number(of: slot)
    }

    @inline(never)
    private func grow() {
        let larger = UnsafeMutablePointer<Flight>.allocate(capacity: 2 * capacity)
        larger.moveInitialize(from: slots, count: used)
        slots.deallocate()
        slots = larger
        capacity *= 2
    }

    /// The flight of a number, in place; nil when the lane answered it already, or never had it. Good until the next `add`.
    @inline(__always)
    func find(_ number: UInt64) -> UnsafeMutablePointer<Flight>? {
        let slot = Int(number & 0xFFFF_FFFF) - 1
        guard slot >= 0, slot < used, slots[slot].generation == UInt32(number >> 32), slots[slot].holder != nil else { return nil }
        return slots + slot
    }

    /// Frees the slot of a flight; its number means nothing from now on.
    @inline(__always)
    func remove(_ flight: UnsafeMutablePointer<Flight>) {
        flight.pointee.holder = nil
        flight.pointee.generation &+= 1
        flight.pointee.delivery = firstFree
        firstFree = UInt64(flight - slots) + 1
        count -= 1
    }

    /// The numbers of all that are unanswered and fit. Looks at every slot: for deaths and cancellations, not for the way of an event.
    func numbers(where fits: (Flight) -> Bool) -> [UInt64] {
        (0..<used).compactMap { slot in slots[slot].holder != nil && fits(slots[slot]) ? number(of: slot) : nil }
    }

    /// The number of a flight.
    func number(of flight: UnsafeMutablePointer<Flight>) -> UInt64 { number(of: flight - slots) }

    @inline(__always)
    private func number(of slot: Int) -> UInt64 { UInt64(slots[slot].generation) << 32 | UInt64(slot + 1) }
}

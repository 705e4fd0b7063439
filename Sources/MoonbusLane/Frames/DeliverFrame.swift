import CLuaShim

/// A batch of events and who gets them.
///
/// ```
/// u32 event count · u32 delivery count · event records (docs/frames.md) · delivery records
/// ```
/// A delivery names its event, or its run of events, by index in this frame, so that an event that goes to a thousand
/// contexts is sent once.
package struct DeliverFrame {
    package let eventCount: Int
    package let deliveryCount: Int
    /// Event records, then delivery records.
    let records: UnsafeRawBufferPointer

    package init(_ body: UnsafeRawBufferPointer) throws(FrameError) {
        var cursor = FrameCursor(body)
        eventCount = Int(try cursor.integer(UInt32.self))
        deliveryCount = Int(try cursor.integer(UInt32.self))
        records = cursor.rest
        guard deliveryCount <= records.count / DeliveryRecord.size,
            eventCount <= (records.count - deliveryCount * DeliveryRecord.size) / EventTable.recordSizeMin
        else {
            throw FrameError(.badSize, "\(eventCount) events and \(deliveryCount) deliveries do not fit into \(records.count) bytes")
        }
    }
}

/// Where the event records and the deliveries of one `deliver` frame begin. Reused from frame to frame.
package final class EventTable {
    /// The fixed part of an event record.
    package static let recordSizeMin = 40
    package static let recordSizeMax = 4 << 20

    // Unchecked: it has one owner, and is read once a delivery.
    @exclusivity(unchecked) private var pointers: UnsafeMutablePointer<UnsafePointer<UInt8>?>
    private var capacity = 256
    private var eventCount = 0
    @exclusivity(unchecked) private(set) var deliveries = UnsafeRawBufferPointer(start: nil, count: 0)

    package init() {
        pointers = .allocate(capacity: capacity)
    }

    deinit {
        pointers.deallocate()
    }

    /// Finds every record of `frame` and checks their sizes and the deliveries' indices.
    package func locate(_ frame: DeliverFrame) throws(FrameError) {
        reserve(frame.eventCount)
        var rest = frame.records
        for index in 0..<frame.eventCount {
            guard rest.count >= Self.recordSizeMin else { throw FrameError(.badSize, "event record \(index) is cut off") }
            let size = Int(UInt32(littleEndian: rest.loadUnaligned(as: UInt32.self)))
            guard size >= Self.recordSizeMin, size <= Self.recordSizeMax, size % 8 == 0, size <= rest.count else {
                throw FrameError(.badSize, "event record \(index) claims \(size) bytes; \(rest.count) are left")
            }
            pointers[index] = rest.baseAddress?.assumingMemoryBound(to: UInt8.self)
            rest = UnsafeRawBufferPointer(rebasing: rest[size...])
        }
        guard rest.count == frame.deliveryCount * DeliveryRecord.size else {
            throw FrameError(.badSize, "\(frame.deliveryCount) deliveries do not take \(rest.count) bytes")
        }
        eventCount = frame.eventCount
        deliveries = rest
        for index in 0..<frame.deliveryCount {
            let delivery = rest.loadUnaligned(fromByteOffset: index * DeliveryRecord.size, as: DeliveryRecord.self)
            guard delivery.delivery != 0, delivery.eventCount > 0, Int(delivery.eventIndex) + Int(delivery.eventCount) <= eventCount else {
                throw FrameError(.badValue, "delivery \(index) names events that its frame does not have")
            }
        }
    }

    /// Pointers to the records from `index` on, as `moonbus_context_deliver` wants them.
    @inline(__always)
    func records(from index: UInt32) -> UnsafePointer<UnsafePointer<UInt8>?> {
        UnsafePointer(pointers + Int(index))
    }

    private func reserve(_ count: Int) {
        guard count > capacity else { return }
        pointers.deallocate()
        capacity = max(count, 2 * capacity)
        pointers = .allocate(capacity: capacity)
    }
}

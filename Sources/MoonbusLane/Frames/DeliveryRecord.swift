import CLuaShim

/// One delivery as it lies in a `deliver` frame: the fields of `moonbus_delivery` (CLuaShim.h), in its order.
package struct DeliveryRecord: BitwiseCopyable, Sendable {
    /// What the handler is called with.
    package enum Argument {
        /// `handler(event)`
        package static let event: UInt16 = 0
        /// `handler(events)`: an array (batch, window).
        package static let events: UInt16 = 1
        /// `function(data)`: the first event's data only.
        package static let data: UInt16 = 2
    }

    /// Bytes of a delivery on the wire; the C struct rules.
    package static let size = MemoryLayout<moonbus_delivery>.stride

    /// The host's id; never 0.
    package var delivery: UInt64
    package var context: UInt32
    /// The Lua function, as the declarations named it.
    package var function: Int32
    /// Of its first event among this frame's.
    package var eventIndex: UInt32
    package var eventCount: UInt16
    /// From 1.
    package var attempt: UInt16
    /// What `time.now()` says, microseconds since 1970 UTC.
    package var now: Int64
    /// Of `math.random`.
    package var seed: UInt64
    /// Identifies the subscription: together with the event it makes the delivery's identity (`Identity`), which the shim works out when
    /// it is asked for.
    package var subscriptionKey: (UInt64, UInt64)
    /// CPU limit in microseconds; 0 is the context's own.
    package var cpuLimit: UInt32
    /// One of ``Argument``.
    package var argument: UInt16
    package var flags: UInt16 = 0

    package init(
        delivery: UInt64, context: UInt32, function: Int32, eventIndex: UInt32, eventCount: UInt16 = 1, attempt: UInt16 = 1, now: Int64,
        seed: UInt64, subscriptionKey: (UInt64, UInt64), cpuLimit: UInt32 = 0, argument: UInt16 = Argument.event
    ) {
        self.delivery = delivery
        self.context = context
        self.function = function
        self.eventIndex = eventIndex
        self.eventCount = eventCount
        self.attempt = attempt
        self.now = now
        self.seed = seed
        self.subscriptionKey = subscriptionKey
        self.cpuLimit = cpuLimit
        self.argument = argument
    }
}

/// Gathers the body of a `deliver` frame: events once, deliveries many.
///
///     var builder = DeliverFrameBuilder()
///     builder.begin()
///     let index = event.withUnsafeRecord { builder.append(event: $0) }
///     builder.append(DeliveryRecord(delivery: id, context: 7, function: 1, eventIndex: index, now: now, seed: seed, subscriptionKey: key))
///     builder.end(in: buffer)
///
/// Keep the builder: it allocates once.
package struct DeliverFrameBuilder: ~Copyable {
    private let events = FrameBuffer(capacity: 128 << 10)
    private let deliveries = FrameBuffer(capacity: 256 * DeliveryRecord.size)
    private(set) package var eventCount: UInt32 = 0
    private(set) package var deliveryCount: UInt32 = 0
    private(set) package var isOpen = false

    package init() {}

    /// Bytes that the body would have if it ended now. End it well below ``Frame/sizeMax``; 256 KiB is a good cut.
    package var size: Int { events.size + deliveries.size }
    package var isEmpty: Bool { deliveryCount == 0 }

    package mutating func begin() {
        precondition(!isOpen, "a deliver frame is still open")
        isOpen = true
        eventCount = 0
        deliveryCount = 0
        events.append(UInt64(0))
    }

    /// Adds an event record, whose size is a multiple of 8.
    ///
    /// - Returns: its index in this frame.
    @inline(__always)
    package mutating func append(event record: UnsafeRawBufferPointer) -> UInt32 {
        events.append(bytes: record)
        eventCount += 1
        return eventCount - 1
    }

    @inline(__always)
    package mutating func append(_ delivery: DeliveryRecord) {
        withUnsafeBytes(of: delivery) { deliveries.append(bytes: $0) }
        for _ in MemoryLayout<DeliveryRecord>.size..<DeliveryRecord.size { deliveries.append(UInt8(0)) }
        deliveryCount += 1
    }

    /// Hands over the body, as two parts that belong one behind the other, and forgets it.
    package mutating func end(_ take: (_ events: UnsafeRawBufferPointer, _ deliveries: UnsafeRawBufferPointer) -> Void) {
        precondition(isOpen, "begin a frame first")
        isOpen = false
        events.set(eventCount, at: 0)
        events.set(deliveryCount, at: 4)
        take(events.bytes, deliveries.bytes)
        events.removeAll()
        deliveries.removeAll()
    }

    /// Ends the frame as one of `output`.
    package mutating func end(in output: FrameBuffer) {
        end { events, deliveries in output.appendDeliver(events, deliveries) }
    }
}

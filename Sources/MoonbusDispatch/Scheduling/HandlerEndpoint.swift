/// Where deliveries are run: the host's side of a plugin's lanes, or a Swift closure.
///
/// | the bus calls, on its owner thread | the endpoint calls, on the owner thread |
/// |---|---|
/// | `room` before each turn | `EventBus.settle(_:)` exactly once for each delivery, in any order, even from inside `deliver` |
/// | `deliver(_:)` with at most `room` | `EventBus.checkpoint(_:effects:)` any number of times before that |
/// | `cancel(_:reason:)` when the wall-clock limit has passed | `EventBus.endpointHasRoom(_:)` when `room` rose for another reason than a settlement |
///
/// An endpoint that can't settle any more says so once with `EventBus.reclaim(_:)`: everything it had is due again.
package protocol HandlerEndpoint: AnyObject {
    /// How many more deliveries it takes now.
    var room: Int { get }
    /// Runs them; never more than `room`, never none.
    func deliver(_ deliveries: [Delivery])
    /// Ends a run early. The endpoint must still settle it, best with a fault of kind `.timeout`; a delivery it doesn't know has settled already.
    func cancel(_ delivery: UInt64, reason: String)
}

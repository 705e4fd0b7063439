/// A number with its noun: `1 event`, `2 events`, `3 deliveries`.
///
/// - Parameter plural: nil: the noun with an s.
func counted(_ count: some BinaryInteger, _ noun: String, _ plural: String? = nil) -> String {
    "\(count) \(count == 1 ? noun : plural ?? noun + "s")"
}

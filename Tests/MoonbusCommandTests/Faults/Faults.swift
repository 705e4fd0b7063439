import Testing

/// What a service outlives, each fault made for real: processes that are killed, power that is cut, disks that fail, clients that flood.
///
/// `scripts/test` runs these on their own: they start and kill dozens of services, and each needs the processors for itself.
@Suite(.serialized) enum Faults {}

public import MoonbusEvents

/// A value of a plugin's own state.
public struct StateEntry: Sendable, Hashable {
    /// 1 to 512 bytes.
    public var key: String
    /// What was stored.
    public var value: JSON
    /// Names the write that made it: what ``StateWrite/version`` was. Only good for a comparison with what somebody saw before.
    public var version: UInt64
    /// When it becomes absent by itself.
    public var expires: Timestamp?

    /// Creates an entry as it is read back.
    public init(key: String, value: JSON, version: UInt64, expires: Timestamp? = nil) {
        self.key = key
        self.value = value
        self.version = version
        self.expires = expires
    }
}

/// What one delivery read and wrote of a plugin's state.
public struct StateChange: Sendable, Hashable {
    /// Whose state: the plugin's name.
    public var plugin: String
    /// The versions that the handler saw; 0 where it saw nothing. If one of them has changed, the settlement is a conflict.
    public var reads: [StateRead]
    /// What it wants to be true afterwards, in order; the last write of a key wins.
    public var writes: [StateWrite]

    /// Creates a change of `plugin`'s state.
    public init(plugin: String, reads: [StateRead] = [], writes: [StateWrite] = []) {
        self.plugin = plugin
        self.reads = reads
        self.writes = writes
    }
}

/// A key that a handler read, and the version that it saw.
public struct StateRead: Sendable, Hashable {
    /// The key.
    public var key: String
    /// The version that the handler saw; 0: it was absent.
    public var version: UInt64

    /// Creates the record of one read.
    public init(key: String, version: UInt64) {
        self.key = key
        self.version = version
    }
}

/// A key that a handler wrote.
///
/// The journal keeps the version as it is, and compares it: it orders, counts and makes up nothing.
public struct StateWrite: Sendable, Hashable {
    /// The key, 1 to 512 bytes.
    public var key: String
    /// The new value; nil: the key is absent from now on.
    public var value: JSON?
    /// Names this write: chosen by who makes it, and used for no other write of the key. 1…2^63 - 1, and 0 when there is no value.
    public var version: UInt64
    /// When the value becomes absent by itself.
    public var expires: Timestamp?

    /// Creates the record of a write.
    ///
    /// - Parameter version: 1…2^63 - 1; anything else is a programming error.
    public init(key: String, value: JSON, version: UInt64, expires: Timestamp? = nil) {
        precondition(StateVersions.isValid(version), "a written value has a version from 1 to 2^63 - 1")
        self.key = key
        self.value = value
        self.version = version
        self.expires = expires
    }

    /// Creates the record of a deletion.
    public init(deleting key: String) {
        self.key = key
        value = nil
        version = 0
        expires = nil
    }
}

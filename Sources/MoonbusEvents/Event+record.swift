extension Event {
    /// Copies a record that somebody else wrote (a lane, a file) after checking all of it.
    ///
    /// - Parameter record: exactly one record; its alignment does not matter.
    /// - Throws: ``EventError``: `.tooLarge`, or whatever rule the field breaks that is named in the error.
    package init(record: UnsafeRawBufferPointer) throws(EventError) {
        try EventCheck.record(record)
        self.init(storage: ByteStorage.make(size: record.count) { $0.copyMemory(from: record) })
    }
}

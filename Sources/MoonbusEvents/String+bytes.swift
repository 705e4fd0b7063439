// Swift compares strings by Unicode's canonical equivalence; types, keys and ids are compared by their bytes.

extension String {
    /// The UTF-8 of the string, copied first unless it is contiguous already; valid while `body` runs.
    package func withUTF8Bytes<R, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> R
    ) throws(Failure) -> R {
        // `withUTF8` rethrows any error; a Result carries the typed one through it.
        var copy = self
        return try copy.withUTF8 { bytes in
            do throws(Failure) {
                return Result<R, Failure>.success(try body(UnsafeRawBufferPointer(bytes)))
            } catch {
                return .failure(error)
            }
        }.get()
    }

    /// Whether both have the same UTF-8.
    func hasSameBytes(as other: String) -> Bool {
        utf8.elementsEqual(other.utf8)
    }
}

extension Hasher {
    /// Feeds a string's UTF-8, so that the hash fits ``Swift/String/hasSameBytes(as:)``.
    mutating func combine(bytesOf text: String) {
        text.withUTF8Bytes { combine(bytes: $0) }
        combine(0xFF as UInt8)
    }
}

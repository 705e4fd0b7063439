internal import Glibc

/// SQLite's write-ahead log as a file: how far it is valid.
///
/// Origin: "The Write-Ahead Log" in SQLite's file format (https://www.sqlite.org/fileformat2.html#walformat). Header of 32 bytes: magic,
/// version, page size, sequence, two salts, two checksums. A frame: a header of 24 bytes (page, pages after a commit or 0, two salts, two
/// running checksums) and a page. All numbers are big endian; the lowest bit of the magic says in which byte order checksums are taken.
///
/// Our own descriptor is harmless here: POSIX drops a process's locks on a file when any of its descriptors is closed, but SQLite locks the
/// database file and the shared memory, never the log.
enum WriteAheadLog {
    /// Which filling of the log: SQLite draws new salts each time it starts it over. The first one rises by 1.
    struct Salts: Hashable {
        var first: UInt32
        var second: UInt32
    }

    /// What can be read of a log.
    struct Extent: Equatable {
        var salts: Salts
        /// Up to and with the last valid commit.
        var frames: UInt32
    }

    /// Which filling the log has now.
    static func salts(path: String) -> Salts? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        return header(file).map(\.salts)
    }

    /// Follows the checksums through the whole log.
    ///
    /// - Returns: nil if there is no log, or none with a valid header.
    static func extent(path: String) -> Extent? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        guard let header = header(file) else { return nil }
        var sum = header.checksum
        var extent = Extent(salts: header.salts, frames: 0)
        var frame = [UInt8](repeating: 0, count: 24 + header.pageSize)
        var count: UInt32 = 0
        while pread(file, &frame, frame.count, 32 + off_t(count) * off_t(frame.count)) == frame.count {
            let isCommit: Bool? = frame.withUnsafeBytes { bytes in
                sum.add(UnsafeRawBufferPointer(rebasing: bytes[..<8]))
                sum.add(UnsafeRawBufferPointer(rebasing: bytes[24...]))
                guard word(bytes, 8) == header.salts.first, word(bytes, 12) == header.salts.second, word(bytes, 16) == sum.first,
                    word(bytes, 20) == sum.second
                else { return nil }
                return word(bytes, 4) != 0
            }
            guard let isCommit else { break }
            count += 1
            if isCommit { extent.frames = count }
        }
        return extent
    }

    private static func header(_ file: Int32) -> (salts: Salts, pageSize: Int, checksum: Checksum)? {
        var header = [UInt8](repeating: 0, count: 32)
        guard pread(file, &header, 32, 0) == 32 else { return nil }
        return header.withUnsafeBytes { bytes in
            let magic = word(bytes, 0)
            guard magic & ~1 == 0x377F_0682 else { return nil }
            var sum = Checksum(isBigEndian: magic & 1 == 1)
            sum.add(UnsafeRawBufferPointer(rebasing: bytes[..<24]))
            let pageSize = Int(word(bytes, 8))
            guard word(bytes, 24) == sum.first, word(bytes, 28) == sum.second, (512...65_536).contains(pageSize) else { return nil }
            return (Salts(first: word(bytes, 16), second: word(bytes, 20)), pageSize, sum)
        }
    }

    private static func word(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt32 {
        UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    /// SQLite's running checksum over pairs of words.
    private struct Checksum {
        let isBigEndian: Bool
        var first: UInt32 = 0
        var second: UInt32 = 0

        init(isBigEndian: Bool) {
            self.isBigEndian = isBigEndian
        }

        mutating func add(_ bytes: UnsafeRawBufferPointer) {
            for offset in stride(from: 0, to: bytes.count, by: 8) {
                first = first &+ word(bytes, offset) &+ second
                second = second &+ word(bytes, offset + 4) &+ first
            }
        }

        private func word(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt32 {
            let word = bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
            return isBigEndian ? UInt32(bigEndian: word) : UInt32(littleEndian: word)
        }
    }
}

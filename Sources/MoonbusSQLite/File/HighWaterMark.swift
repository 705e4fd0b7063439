internal import Glibc
internal import MoonbusJournal

/// What was committed last, written down outside the write-ahead log.
///
/// SQLite takes a write-ahead log as far as its checksums hold and drops the rest without a word: that is right after a crash in the middle
/// of a commit, and wrong when a page that was committed and synced has gone bad. The mark tells the two apart.
///
/// File `moonbus.mark`, 8,192 bytes, two slots at 0 and 4,096, written in turn so that a torn write spoils one only; the valid one with the
/// higher turn counts. A slot, little endian:
///
/// | offset | type | field |
/// |---|---|---|
/// | 0 | u64 | `MOONMARK` |
/// | 8 | u64 | turn: one more with each write |
/// | 16 | u32, u32 | the two salts of the write-ahead log: which filling of it |
/// | 24 | u32 | frames of it that are committed |
/// | 28 | u32 | bit 0: all of them are in the database file, too; bit 1: the journal was closed in good order |
/// | 32 | u64 | the last position given |
/// | 40 | u64 | zero |
/// | 48 | u64 | FNV-1a of the 48 bytes before |
///
/// **Order.** A slot is written after the commit that it speaks of has been synced, so it never claims what may be missing. A crash in between
/// leaves a mark that claims less than there is: no alarm. It is synced itself at each checkpoint, when the journal falls idle, and every
/// 100 ms under load, not with each commit, which would double the price of one. So a killed process leaves a mark of its last commit; after
/// a power cut the mark may be 100 ms old, and damage to the commits of that last moment would go unnoticed.
struct HighWaterMark {
    /// What a slot says.
    struct Content: Equatable {
        var turn: UInt64 = 0
        var salts: WriteAheadLog.Salts = .init(first: 0, second: 0)
        var frames: UInt32 = 0
        /// Everything that is committed is in the database file: whatever becomes of the log, nothing is lost.
        var isCheckpointed = true
        var isClosed = false
        var end: UInt64 = 0
    }

    private(set) var content: Content
    /// Something was written and not synced yet.
    private(set) var isDirty = false
    private let file: Int32
    private let path: String
    private static let slotSize = 64
    private static let slotDistance = 4_096
    private static let magic: UInt64 = 0x4B52_414D_4E4F_4F4D

    /// Opens the mark of a folder, or creates it.
    ///
    /// - Throws: `.unavailable` if it can't be opened or created.
    init(folder: String) throws(JournalError) {
        path = "\(folder)/moonbus.mark"
        file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw Self.unavailable(path, "cannot be opened") }
        let found = Self.read(file)
        content = found ?? Content()
        isNew = found == nil
        if isNew {
            // All of its blocks now: an overwrite later needs no room on the disk and no change of the file's size.
            let zeros = [UInt8](repeating: 0, count: Self.slotDistance * 2)
            guard pwrite(file, zeros, zeros.count, 0) == zeros.count, fsync(file) == 0 else {
                throw Self.unavailable(path, "cannot be written")
            }
        }
    }

    /// What the mark of a folder says; changes nothing. Nil: there is none, or none that can be read.
    static func content(folder: String) -> Content? {
        let file = open("\(folder)/moonbus.mark", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        return read(file)
    }

    /// The valid slot with the higher turn.
    private static func read(_ file: Int32) -> Content? {
        var slots = [UInt8](repeating: 0, count: slotDistance * 2)
        let count = pread(file, &slots, slots.count, 0)
        return [0, slotDistance].filter { count >= $0 + slotSize }
            .compactMap { start in slots.withUnsafeBytes { decode(UnsafeRawBufferPointer(rebasing: $0[start..<start + slotSize])) } }
            .max { $0.turn < $1.turn }
    }

    /// There was none, or none that could be read.
    let isNew: Bool

    /// Writes down a new state. Durable after ``sync()``.
    mutating func note(_ change: (inout Content) -> Void) throws(JournalError) {
        var next = content
        change(&next)
        next.turn = content.turn + 1
        let slot = Self.encode(next)
        guard pwrite(file, slot, slot.count, off_t(next.turn % 2) * off_t(Self.slotDistance)) == slot.count else {
            throw Self.unavailable(path, "cannot be written")
        }
        content = next
        isDirty = true
    }

    mutating func sync() throws(JournalError) {
        guard isDirty else { return }
        guard fdatasync(file) == 0 else { throw Self.unavailable(path, "cannot be synced") }
        isDirty = false
    }

    func closeFile() {
        close(file)
    }

    private static func unavailable(_ path: String, _ what: String) -> JournalError {
        JournalError(
            .unavailable, "\(path): \(what) (\(String(cString: strerror(errno)))): check the disk and the permissions, then try again")
    }

    // MARK: The format

    private static func encode(_ content: Content) -> [UInt8] {
        var slot = [UInt8](repeating: 0, count: slotSize)
        slot.withUnsafeMutableBytes { bytes in
            bytes.storeBytes(of: magic.littleEndian, toByteOffset: 0, as: UInt64.self)
            bytes.storeBytes(of: content.turn.littleEndian, toByteOffset: 8, as: UInt64.self)
            bytes.storeBytes(of: content.salts.first.littleEndian, toByteOffset: 16, as: UInt32.self)
            bytes.storeBytes(of: content.salts.second.littleEndian, toByteOffset: 20, as: UInt32.self)
            bytes.storeBytes(of: content.frames.littleEndian, toByteOffset: 24, as: UInt32.self)
            let flags: UInt32 = (content.isCheckpointed ? 1 : 0) | (content.isClosed ? 2 : 0)
            bytes.storeBytes(of: flags.littleEndian, toByteOffset: 28, as: UInt32.self)
            bytes.storeBytes(of: content.end.littleEndian, toByteOffset: 32, as: UInt64.self)
            let sum = checksum(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[..<48]))
            bytes.storeBytes(of: sum.littleEndian, toByteOffset: 48, as: UInt64.self)
        }
        return slot
    }

    private static func decode(_ slot: UnsafeRawBufferPointer) -> Content? {
        func word(_ offset: Int) -> UInt64 { UInt64(littleEndian: slot.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
        func half(_ offset: Int) -> UInt32 { UInt32(littleEndian: slot.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
        guard word(0) == magic, word(48) == checksum(UnsafeRawBufferPointer(rebasing: slot[..<48])) else { return nil }
        return Content(
            turn: word(8), salts: .init(first: half(16), second: half(20)), frames: half(24), isCheckpointed: half(28) & 1 != 0,
            isClosed: half(28) & 2 != 0, end: word(32))
    }

    /// FNV-1a, 64 bits: against torn and stray writes, not against people.
    private static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }
}

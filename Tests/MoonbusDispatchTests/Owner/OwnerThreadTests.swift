import Glibc
import MoonbusDispatch
import MoonbusEvents
import MoonbusTesting
import Synchronization
import Testing

@Suite struct OwnerThreadTests {
    @Test func `work runs in the order in which it was posted, on one thread`() async {
        let owner = OwnerThread()
        let notes = Notes()
        for index in 0..<100 { owner.post { notes.add(owner.isCurrent ? "\(index)" : "elsewhere") } }
        #expect(!owner.isCurrent)
        owner.start()
        owner.catchUp()
        owner.stop()
        #expect(notes.all == (0..<100).map { "\($0)" })
    }

    @Test func `work posted after the end is refused, and what was posted before has run`() async {
        let owner = OwnerThread()
        let notes = Notes()
        owner.start()
        for _ in 0..<10 { owner.post { notes.add("before") } }
        owner.stop()
        #expect(notes.all.count == 10)
        #expect(!owner.post { notes.add("after") })
        #expect(await owner.perform { 1 } == nil)
        owner.stop()
        #expect(notes.all.count == 10)
    }

    @Test func `what is to be done at the end runs once, on the thread, after everything else`() {
        let owner = OwnerThread()
        let notes = Notes()
        owner.post { owner.atEnd { notes.add(owner.isCurrent ? "end" : "elsewhere") } }
        owner.start()
        owner.catchUp()
        #expect(notes.all.isEmpty)
        owner.post { notes.add("last work") }
        owner.stop()
        #expect(notes.all == ["last work", "end"])
    }

    @Test func `what a file's callback posts runs without anybody else waking the thread`() async {
        let owner = OwnerThread()
        var files: [Int32] = [-1, -1]
        #expect(pipe(&files) == 0)
        let (reader, writer) = (files[0], files[1])
        var byte: UInt8 = 1
        #expect(write(writer, &byte, 1) == 1)
        owner.start()
        await withCheckedContinuation { continuation in
            owner.post {
                _ = owner.watch(
                    reader,
                    readable: {
                        var byte: UInt8 = 0
                        if read(reader, &byte, 1) == 1 { owner.post { continuation.resume() } }
                    })
            }
        }
        owner.stop()
        for file in files { close(file) }
    }

    @Test func `timers fire in the order of their times, once, and not when cancelled`() async {
        let clock = ManualClock()
        let owner = OwnerThread(clock: clock)
        let notes = Notes()
        owner.start()
        clock.drive(next: { owner.nextDeadline() }, run: { owner.catchUp() })
        owner.post {
            _ = owner.timer(after: .seconds(2)) { notes.add("two") }
            let cancelled = owner.timer(after: .seconds(1)) { notes.add("never") }
            _ = owner.timer(after: .seconds(1)) {
                notes.add("one")
                _ = owner.timer(after: .milliseconds(500)) { notes.add("one and a half") }
            }
            owner.cancel(cancelled)
        }
        clock.advance(by: .milliseconds(999))
        #expect(notes.all == [])
        clock.advance(by: .seconds(10))
        #expect(notes.all == ["one", "one and a half", "two"])
        #expect(owner.nextDeadline() == nil)
        owner.stop()
    }

    @Test func `many cancelled timers leave no trace`() async {
        let clock = ManualClock()
        let owner = OwnerThread(clock: clock)
        let notes = Notes()
        owner.start()
        owner.post {
            for _ in 0..<10_000 { owner.cancel(owner.timer(after: .seconds(1)) { notes.add("never") }) }
        }
        owner.catchUp()
        #expect(owner.nextDeadline() == nil)
        clock.advance(by: .seconds(2))
        owner.catchUp()
        #expect(notes.all == [])
        owner.stop()
    }

    @Test func `with the system's clock a timer wakes a sleeping thread`() async {
        let owner = OwnerThread()
        owner.start()
        let start = SystemClock().monotonic()
        await withCheckedContinuation { continuation in
            owner.post { _ = owner.timer(after: .milliseconds(20)) { continuation.resume() } }
        }
        #expect(SystemClock().monotonic() - start >= .milliseconds(20))
        owner.stop()
    }

    @Test func `the end of a turn comes after all its work`() async {
        let owner = OwnerThread()
        let notes = Notes()
        owner.atTurnEnd { notes.add("end") }
        owner.post { notes.add("a") }
        owner.post { notes.add("b") }
        owner.start()
        owner.catchUp()
        owner.stop()
        #expect(Array(notes.all.prefix(3)) == ["a", "b", "end"])
    }

    @Test func `a readable file is told about, until it is unwatched`() async throws {
        let pair = try SocketPair()
        let owner = OwnerThread()
        let notes = Notes()
        owner.start()
        let watch = await owner.perform {
            UncheckedBox(
                owner.watch(pair.near) {
                    var bytes = [UInt8](repeating: 0, count: 16)
                    let count = read(pair.near, &bytes, 16)
                    notes.add(count > 0 ? String(decoding: bytes.prefix(count), as: UTF8.self) : "end")
                })
        }
        pair.send("hello")
        while notes.all.isEmpty { await Task.yield() }
        #expect(notes.all == ["hello"])
        _ = await owner.perform { watch.map { owner.unwatch($0.value) } }
        pair.send("again")
        owner.catchUp()
        #expect(notes.all == ["hello"])
        owner.stop()
    }

    @Test func `a writable file is told about only while somebody wants to write`() async throws {
        let pair = try SocketPair()
        let owner = OwnerThread()
        let notes = Notes()
        owner.start()
        let box = UncheckedBox<FileWatch?>(nil)
        _ = await owner.perform {
            box.value = owner.watch(
                pair.near, readable: {},
                writable: {
                    notes.add("writable")
                    box.value?.wantsToWrite = false
                })
        }
        owner.catchUp()
        #expect(notes.all == [])
        _ = await owner.perform { box.value?.wantsToWrite = true }
        while notes.all.isEmpty { await Task.yield() }
        owner.catchUp()
        #expect(notes.all == ["writable"])
        owner.stop()
    }
}

/// What happened, in order, from any thread.
final class Notes: Sendable {
    private let notes = Mutex<[String]>([])

    var all: [String] { notes.withLock { $0 } }

    func add(_ note: String) {
        notes.withLock { $0.append(note) }
    }
}

/// `@unchecked Sendable`: what is in it is only touched on the owner thread.
private final class UncheckedBox<Value>: @unchecked Sendable {
    var value: Value

    init(_ value: Value) {
        self.value = value
    }
}

/// Two connected sockets, closed with the object.
private final class SocketPair: Sendable {
    let near: Int32
    private let far: Int32

    init() throws {
        var files: [Int32] = [-1, -1]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &files) == 0)
        (near, far) = (files[0], files[1])
    }

    deinit {
        close(near)
        close(far)
    }

    func send(_ text: String) {
        _ = text.withCString { write(far, $0, strlen($0)) }
    }
}

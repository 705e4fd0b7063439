import Dispatch
import Glibc
import MoonbusPlugins
import Testing

/// Real files and a real inotify. The watcher's waiting times are real, too; what is asserted is order and content, never speed.
@Suite(.timeLimit(.minutes(1))) struct FolderWatcherTests {
    private let files = TemporaryFolder()

    /// A running watcher and what it tells, in order.
    private final class Watch: Sendable {
        let watcher: FolderWatcher
        let changes: AsyncStream<FolderWatcher.Change>
        /// "back", or why the folder can't be read.
        let folders: AsyncStream<String>

        init(_ files: TemporaryFolder, _ timing: FolderWatcher.Timing = .init()) throws {
            let (changes, told) = AsyncStream<FolderWatcher.Change>.makeStream()
            self.changes = changes
            let (folders, toldFolder) = AsyncStream<String>.makeStream()
            self.folders = folders
            watcher = try FolderWatcher(
                folder: PluginFolder(path: files.path), timing: timing, onChange: { told.yield($0) },
                onFolder: { toldFolder.yield($0?.message ?? "back") })
        }

        deinit { watcher.stop() }

        func next() async -> FolderWatcher.Change? {
            var iterator = changes.makeAsyncIterator()
            return await iterator.next()
        }

        /// Waits for a change; the suite's time limit ends it.
        func wait(for isWanted: (FolderWatcher.Change) -> Bool) async {
            while let change = await next(), !isWanted(change) {}
        }

        /// The next change as "name: text of main.lua", "name: gone" or "name: error".
        func nextLine() async -> String? {
            guard let change = await next() else { return nil }
            switch change.finding {
            case .plugin(let source): return "\(change.name): \(source.text(of: "main.lua") ?? "")"
            case .absent: return "\(change.name): gone"
            case .refused(let error): return "\(change.name): \(error.message)"
            }
        }
    }

    @Test func `what is there at the start is told first, by name`() async throws {
        files.write("return 2", to: "b/main.lua")
        files.write("return 1", to: "a.lua")
        let watch = try Watch(files)
        #expect(await watch.nextLine() == "a: return 1")
        #expect(await watch.nextLine() == "b: return 2")
    }

    @Test func `a file that is renamed over the old one is told once`() async throws {
        files.write("return 1", to: "a.lua")
        let watch = try Watch(files)
        #expect(await watch.nextLine() == "a: return 1")
        files.replace("a.lua", with: "return 2")
        #expect(await watch.nextLine() == "a: return 2")
        files.replace("a.lua", with: "return 2")  // nothing new: not told
        files.replace("a.lua", with: "return 3")
        #expect(await watch.nextLine() == "a: return 3")
    }

    @Test func `a writer that pauses in the middle is waited for`() async throws {
        files.write("return 1", to: "a.lua")
        let watch = try Watch(files)
        #expect(await watch.nextLine() == "a: return 1")  // it watches from here on
        let descriptor = files.openForWriting("slow.lua")
        files.append("return 1", to: descriptor)
        // Another plugin, saved after the first half, is told first: the first one is still open for writing.
        files.write("return 0", to: "quick.lua")
        #expect(await watch.nextLine() == "quick: return 0")
        files.append(" + 1", to: descriptor)
        close(descriptor)
        #expect(await watch.nextLine() == "slow: return 1 + 1")
    }

    @Test func `a writer that never closes is waited for only so long`() async throws {
        var timing = FolderWatcher.Timing()
        timing.writerMax = .milliseconds(50)
        let watch = try Watch(files, timing)
        let descriptor = files.openForWriting("open.lua")
        defer { close(descriptor) }
        files.append("return 1", to: descriptor)
        #expect(await watch.nextLine() == "open: return 1")
    }

    @Test func `a burst of saves ends with the last one`() async throws {
        let watch = try Watch(files)
        for number in 1...200 { files.replace("a.lua", with: "return \(number)") }
        var last = await watch.nextLine()
        while last != "a: return 200" { last = await watch.nextLine() }
        #expect(last == "a: return 200")
    }

    @Test func `a folder that is moved away is told, once, and so is its return; nothing in it is gone meanwhile`() async throws {
        let (home, away) = (files.below("home"), files.below("away"))
        files.write("return 1", to: "home/a/main.lua")
        files.write("return 1", to: "home/b.lua")
        var timing = FolderWatcher.Timing()
        timing.rescan = .milliseconds(10)
        timing.vanish = .milliseconds(10)
        let watch = try Watch(home, timing)
        #expect(await watch.nextLine() == "a: return 1")
        #expect(await watch.nextLine() == "b: return 1")
        var folders = watch.folders.makeAsyncIterator()
        #expect(rename(home.path, away.path) == 0)
        #expect(await folders.next()?.contains("the plugins folder can't be read") == true)
        // What is changed in it there is no change here.
        away.write("return 2", to: "a/main.lua")
        away.write("return 2", to: "b.lua")
        #expect(rename(away.path, home.path) == 0)
        #expect(await folders.next() == "back")
        let lines = [await watch.nextLine(), await watch.nextLine()]
        #expect(Set(lines) == ["a: return 2", "b: return 2"])
    }

    @Test func `a deleted file is gone, and one that an editor writes anew is not`() async throws {
        files.write("return 1", to: "a.lua")
        files.write("return 1", to: "b.lua")
        var timing = FolderWatcher.Timing()
        timing.vanish = .milliseconds(300)
        let watch = try Watch(files, timing)
        #expect(await watch.nextLine() == "a: return 1")
        #expect(await watch.nextLine() == "b: return 1")
        files.delete("a.lua")
        files.delete("b.lua")
        files.write("return 2", to: "b.lua")
        #expect(await watch.nextLine() == "b: return 2")
        #expect(await watch.nextLine() == "a: gone")
    }

    @Test func `a module and a manifest are part of the plugin, in folders made later, too`() async throws {
        let watch = try Watch(files)
        // On a busy machine a folder may be seen before what is put into it: it is told as it is then, and again.
        files.write("return 1", to: "a/main.lua")
        await watch.wait { $0.finding.source?.text(of: "main.lua") == "return 1" }
        files.write("return {}", to: "a/lib/x.lua")
        await watch.wait { $0.finding.source?.text(of: "lib/x.lua") == "return {}" }
        files.write("return { 2 }", to: "a/lib/x.lua")
        await watch.wait { $0.finding.source?.text(of: "lib/x.lua") == "return { 2 }" }
        files.write("contexts = 2", to: "a/plugin.toml")
        await watch.wait { $0.finding.source?.manifest == "contexts = 2" && $0.finding.source?.files.count == 2 }
    }

    /// More events than inotify keeps, while the watching thread is held up in the middle of telling something.
    @Test func `when the kernel loses events, what changed meanwhile is found all the same`() async throws {
        files.write("return 1", to: "a.lua")
        files.write("return 1", to: "b.lua")
        let (changes, told) = AsyncStream<FolderWatcher.Change>.makeStream()
        let isFlooded = DispatchSemaphore(value: 0)
        let watcher = try FolderWatcher(
            folder: PluginFolder(path: files.path),
            onChange: { change in
                told.yield(change)
                guard case .plugin(let source) = change.finding, source.text(of: "main.lua") == "return 2" else { return }
                _ = isFlooded.wait(timeout: .now() + .seconds(30))
            })
        defer { watcher.stop() }
        var iterator = changes.makeAsyncIterator()
        #expect(await iterator.next()?.name == "a")
        #expect(await iterator.next()?.name == "b")

        files.replace("a.lua", with: "return 2")
        #expect(await iterator.next()?.name == "a")  // and the watcher stands still from here on
        files.flood(with: Self.queuedEventsMax + 100)
        files.replace("b.lua", with: "return 3")  // the queue is full: nobody is told of this
        isFlooded.signal()
        let change = await iterator.next()
        #expect(change?.name == "b")
        #expect(change?.finding.source?.text(of: "main.lua") == "return 3")
    }

    /// What inotify keeps for one reader.
    private static var queuedEventsMax: Int {
        guard let file = fopen("/proc/sys/fs/inotify/max_queued_events", "r") else { return 16_384 }
        defer { fclose(file) }
        var buffer = [UInt8](repeating: 0, count: 32)
        let size = fread(&buffer, 1, buffer.count, file)
        return Int(String(decoding: buffer[..<size].prefix { $0 > 0x20 }, as: UTF8.self)) ?? 16_384
    }

    @Test func `a file that is refused is told with the reason, and then its repair`() async throws {
        files.write("", to: "a.lua")
        let watch = try Watch(files)
        #expect(await watch.nextLine() == "a: the file is empty")
        files.write("return 1", to: "a.lua")
        #expect(await watch.nextLine() == "a: return 1")
    }
}

extension PluginFolder.Finding {
    fileprivate var source: PluginSource? {
        guard case .plugin(let source) = self else { return nil }
        return source
    }
}

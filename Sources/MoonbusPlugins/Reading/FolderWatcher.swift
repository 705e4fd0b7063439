import Glibc
import Synchronization

/// Watches the plugins folder and tells what is new in it, each plugin whole, once it holds still.
///
/// One thread waits for inotify, lets a change settle, reads the plugin and hands the finding over. A plugin is
/// read when all of this is true:
///
/// - nothing in it changed for ``Timing/settle``;
/// - no file of it that was written to is still open for writing (inotify says when it is closed): a program that writes half a file,
///   thinks, and writes the rest is waited for, up to ``Timing/writerMax`` after its last write;
/// - two reads gave the same bytes and no change was reported meanwhile.
///
/// A plugin that vanished is given ``Timing/vanish`` to come back: some editors delete before they write. Content that was told
/// already is not told again. When inotify loses events, or can't watch everything, the whole folder is read again.
///
/// State lives on the watching thread alone; nothing is shared with it but the pipe that ends it.
package final class FolderWatcher: Sendable {
    /// What became of one plugin.
    package struct Change: Sendable, Equatable {
        package var name: String
        package var finding: PluginFolder.Finding
        /// When the first sign of the change came; CLOCK_MONOTONIC, nanoseconds.
        package var noticed: UInt64
    }

    /// How long things are waited for.
    package struct Timing: Sendable {
        /// Quiet time after the last change before a plugin is read.
        package var settle: Duration = .milliseconds(20)
        /// Quiet time after a plugin vanished before it counts as gone.
        package var vanish: Duration = .milliseconds(150)
        /// How long after its last write a file that stays open for writing is waited for.
        package var writerMax: Duration = .seconds(5)
        /// How often the folder is read when inotify can't be relied on.
        package var rescan: Duration = .seconds(2)

        package init() {}
    }

    /// The writing end of a pipe: a byte in it ends the thread.
    private let bell: Int32
    private let thread = Mutex<pthread_t?>(nil)

    /// Starts watching; everything that is there already is told first, then ``started`` is called once.
    ///
    /// - Parameters:
    ///   - onChange: called on the watching thread, one call at a time.
    ///   - onFolder: called there when the folder can't be read any more, with the reason, and with nil when it can be again.
    /// - Throws: ``PluginError`` `.unreadable` when the folder can't be read or the system has no more inotify instances.
    package init(
        folder: PluginFolder, timing: Timing = Timing(), onChange: @escaping @Sendable (Change) -> Void,
        onFolder: @escaping @Sendable (PluginError?) -> Void = { _ in },
        started: @escaping @Sendable () -> Void = {}
    ) throws(PluginError) {
        _ = try folder.names()
        let events = inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC))
        guard events >= 0 else {
            throw PluginError(
                .unreadable, plugin: folder.path, message: "the plugins folder can't be watched: \(reason(errno))",
                hint: "raise the sysctl fs.inotify.max_user_instances, or end other watchers")
        }
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            close(events)
            throw PluginError(.unreadable, plugin: folder.path, message: "the plugins folder can't be watched: \(reason(errno))")
        }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        bell = ends[1]
        let watch = FolderWatch(folder: folder, timing: timing, events: events, end: ends[0], onChange: onChange, onFolder: onFolder)
        let body: () -> Void = {
            watch.readEverything()
            started()
            watch.run()
        }
        let box = Unmanaged.passRetained(Box(body))
        var created = pthread_t()
        let status = pthread_create(
            &created, nil,
            { argument in
                Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue().body()
                return nil
            }, box.toOpaque())
        guard status == 0 else {
            box.release()  // closes what it watches with
            throw PluginError(.unreadable, plugin: folder.path, message: "no thread to watch the folder: \(reason(status))")
        }
        thread.withLock { $0 = created }
    }

    deinit { close(bell) }

    /// Ends the watching thread and waits for it; nothing is told after this returns. Not to be called from `onChange`.
    package func stop() {
        guard let thread = thread.withLock({ $0.take() }) else { return }
        var byte: UInt8 = 1
        _ = write(bell, &byte, 1)
        pthread_join(thread, nil)
    }

    private final class Box {
        let body: () -> Void
        init(_ body: @escaping () -> Void) { self.body = body }
    }
}

/// CLOCK_MONOTONIC in nanoseconds.
func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

extension Duration {
    /// Rounded down; 0 when negative.
    var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        return seconds < 0 || attoseconds < 0 ? 0 : UInt64(seconds) &* 1_000_000_000 &+ UInt64(attoseconds / 1_000_000_000)
    }
}

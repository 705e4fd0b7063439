import Dispatch
import Glibc
import Synchronization

/// Standard output or standard error, and what may be written there.
///
/// Whether there is a person at the other end is asked for each of the two: `moonbus tail > file` still shows its progress.
final class Terminal: Sendable {
    static let standardOutput = Terminal(STDOUT_FILENO)
    static let standardError = Terminal(STDERR_FILENO)

    /// A person looks at it.
    let isInteractive: Bool
    /// Colours may be used: `NO_COLOR` and `TERM=dumb` say no, `FORCE_COLOR` says yes, otherwise a terminal does.
    let hasColor: Bool
    private let descriptor: Int32
    /// A line that is drawn again and again at the bottom; empty when there is none.
    private let status = Mutex("")
    /// Nil: what is written is written at once.
    private let outlet = Mutex<Outlet?>(nil)
    private let isUnread = Atomic(false)

    private init(_ descriptor: Int32) {
        self.descriptor = descriptor
        isInteractive = isatty(descriptor) == 1
        if environment("NO_COLOR") != nil {
            hasColor = false
        } else if let force = environment("FORCE_COLOR"), force != "0" {
            hasColor = true
        } else {
            hasColor = isInteractive && environment("TERM") != "dumb"
        }
    }

    enum Paint: String {
        case red = "31"
        case green = "32"
        case yellow = "33"
        case cyan = "36"
        case dim = "2"
        case bold = "1"
    }

    /// The text in a colour, or as it is where colours are not wanted.
    func paint(_ paint: Paint, _ text: String) -> String { hasColor ? "\u{1B}[\(paint.rawValue)m\(text)\u{1B}[0m" : text }

    /// How many columns there are; 80 when nobody says.
    var width: Int {
        var size = winsize()
        return ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
    }

    /// From now on the program goes on when nobody reads any more: for a service, whose work is not its output. What is written when the reader
    /// is gone is dropped; one that stands still, or is too slow, misses lines and is told how many.
    ///
    /// - Parameter note: the line that stands for so many that were left out.
    func outliveReader(note: @escaping @Sendable (_ skipped: Int) -> String) {
        outlet.withLock { $0 = Outlet(note: note) { [self] in writeNow($0, endsWithReader: false) } }
    }

    /// Waits until the reader has got everything, at most so long. After ``outliveReader(note:)``, and before the program ends.
    func drain(within limit: DispatchTimeInterval) {
        outlet.withLock { $0 }?.drain(within: limit)
    }

    /// Writes whole lines. They never mix with those of another thread.
    func print(_ lines: String) {
        status.withLock { status in
            if status.isEmpty { return write(lines + "\n") }
            write("\r\u{1B}[K\(lines)\n\(status)")
        }
    }

    /// Draws the status line; only where a person sees it.
    func show(status text: String) {
        guard isInteractive else { return }
        status.withLock { status in
            status = String(text.prefix(max(20, width - 1)))
            write("\r\u{1B}[K\(status)")
        }
    }

    /// Takes the status line away.
    func clearStatus() {
        status.withLock { status in
            if !status.isEmpty { write("\r\u{1B}[K") }
            status = ""
        }
    }

    private func write(_ text: String) {
        if let outlet = outlet.withLock({ $0 }) { outlet.put(text) } else { writeNow(text, endsWithReader: true) }
    }

    /// - Parameter endsWithReader: the output is what the program is for: without a reader it ends with 0, and with 74 when the output can't be
    ///   written. What can't be said on standard error changes nothing.
    private func writeNow(_ text: String, endsWithReader: Bool) {
        guard !isUnread.load(ordering: .relaxed) else { return }
        var text = text
        text.withUTF8 { bytes in
            var offset = 0
            while offset < bytes.count {
                let count = Glibc.write(descriptor, bytes.baseAddress.map { $0 + offset }, bytes.count - offset)
                if count > 0 {
                    offset += count
                } else if errno == EAGAIN {
                    var wish = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    poll(&wish, 1, -1)
                } else if errno == EPIPE {
                    // `moonbus tail | head`: the reader has what it wanted.
                    if endsWithReader, self !== Self.standardError { exit(0) }
                    isUnread.store(true, ordering: .relaxed)
                    if self !== Self.standardError, !endsWithReader {
                        Self.standardError.print("moonbus: nobody reads the output any more; the service goes on without it")
                    }
                    return
                } else if errno != EINTR {
                    let reason = systemReason()
                    if endsWithReader, self !== Self.standardError { Self.endUnwritten(reason) }
                    return
                }
            }
        }
    }
}

extension Terminal {
    /// Help is printed by others, into a buffer: only when that is flushed, at the end, it shows that it can't be written.
    static func watchBuffers() {
        atexit { if fflush(nil) != 0, errno != EPIPE { Terminal.endUnwritten(systemReason()) } }
    }

    /// Ends the program because its output can't be written.
    static func endUnwritten(_ reason: String) -> Never {
        standardError.print("\(standardError.paint(.red, "moonbus:")) the output can't be written: \(reason)")
        _exit(CommandError.Code.ioError.rawValue)
    }
}

/// A variable of the environment; nil when it is absent or empty.
func environment(_ name: String) -> String? {
    guard let value = getenv(name) else { return nil }
    let text = String(cString: value)
    return text.isEmpty ? nil : text
}

/// The names of the variables that this process was started with.
func variableNames() -> [String] {
    // Glibc's `environ` is a global variable that any thread may change; this is what the process was given.
    guard let bytes = try? ByteReader(path: "/proc/self/environ").rest(limit: 4 << 20) else { return [] }
    return bytes.split(separator: 0).map { String(decoding: $0.prefix { $0 != UInt8(ascii: "=") }, as: UTF8.self) }
}

/// Text from elsewhere as it may be shown: a control character, which could move the cursor or colour the rest, becomes `�`.
func printable(_ text: String) -> String {
    func isControl(_ scalar: Unicode.Scalar) -> Bool {
        (scalar.value < 0x20 && scalar != "\n" && scalar != "\t") || (0x7F...0x9F).contains(scalar.value)
    }
    guard text.unicodeScalars.contains(where: isControl) else { return text }
    return String(String.UnicodeScalarView(text.unicodeScalars.map { isControl($0) ? "\u{FFFD}" : $0 }))
}

/// Why a plugin isn't (or is no longer) running, in a form that both a program and its author can use.
///
/// The `code` is for programs. The `message` says what is wrong and with what; `file`, `line` and `column` say where,
/// and `excerpt` shows it. The `hint` says what to do next. ``render(color:)`` puts it all together:
///
///     fraud/main.lua:12: ')' expected near 'baz'                                  syntax
///         11 │   local score = model(ev
///       > 12 │     baz)
///            │     ^
///         13 │ end
///       hint: the version that was running before keeps running
public struct PluginError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What kind of thing went wrong; more may come, so a switch needs a default.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        /// The code's name as it appears in JSON, e.g. `bad_manifest`.
        public let description: String

        private init(_ description: String) { self.description = description }

        /// A file or folder could not be read: missing, not a plain file, a symbolic link, no permission.
        public static let unreadable = Code("unreadable")
        /// The file's or folder's name is not a plugin's name, or is taken twice.
        public static let badName = Code("bad_name")
        /// A file, or the plugin altogether, is larger than the host reads.
        public static let tooLarge = Code("too_large")
        /// `plugin.toml` is not TOML, or says something that the host doesn't know.
        public static let badManifest = Code("bad_manifest")
        /// The Lua code does not compile.
        public static let syntax = Code("syntax")
        /// The Lua code raised an error while it loaded.
        public static let raised = Code("raised")
        /// Loading needed more memory than the plugin's limit.
        public static let memory = Code("memory")
        /// Loading ran longer than the plugin's CPU limit, or the lane did not answer in time.
        public static let timeout = Code("timeout")
        /// A subscription, source or timer was declared with something that the host can't use.
        public static let badDeclaration = Code("bad_declaration")
        /// The plugin declared something that its manifest doesn't permit.
        public static let denied = Code("denied")
        /// The lane died while it loaded or ran the plugin.
        public static let laneDied = Code("lane_died")
        /// The plugin broke its lane too often and waits for a new version, or for `enable`.
        public static let quarantined = Code("quarantined")
        /// There is no plugin of this name.
        public static let notFound = Code("not_found")
        /// The host is stopped, or stopping.
        public static let stopped = Code("stopped")
    }

    /// What kind of thing went wrong.
    public var code: Code
    /// The plugin's name, or the name of the file that should have been one.
    public var plugin: String
    /// The file, as a path below the plugins folder: `hello.lua`, `alerts/main.lua`.
    public var file: String?
    /// The line in `file`, from 1.
    public var line: Int?
    /// The column in `line`, in characters, from 1.
    public var column: Int?
    /// What is wrong, without the place.
    public var message: String
    /// The lines around the place, when the source is known.
    public var excerpt: SourceExcerpt?
    /// What to do about it.
    public var hint: String?

    /// Creates an error; the excerpt is cut from `source` around `line` when both are given.
    public init(
        _ code: Code, plugin: String, file: String? = nil, line: Int? = nil, column: Int? = nil, message: String, source: String? = nil,
        hint: String? = nil
    ) {
        self.code = code
        self.plugin = plugin
        self.file = file
        self.line = line
        self.message = message
        self.hint = hint
        if let source, let line, let excerpt = SourceExcerpt(of: source, around: line, column: column, culprit: quotedWord(in: message)) {
            self.excerpt = excerpt
            self.column = column ?? excerpt.column
        } else {
            self.column = column
        }
    }

    /// The error on one line, with its place: for logs.
    public var description: String { "\(place): \(message)" }

    /// Where it went wrong: `alerts/main.lua:41`, or the plugin's name when no file is to blame.
    public var place: String {
        guard let file else { return plugin }
        guard let line else { return file }
        return column.map { "\(file):\(line):\($0)" } ?? "\(file):\(line)"
    }

    /// The error on several lines, for a person: place, message, excerpt and hint. No newline at the end.
    ///
    /// - Parameter color: whether to use ANSI colours; ask the terminal first.
    public func render(color: Bool) -> String {
        let paint = Paint(on: color)
        var lines = ["\(paint.bold(place)): \(paint.red(clean(message)))  \(paint.dim(code.description))"]
        if let excerpt { lines += excerpt.render(color: color).map { "  " + $0 } }
        if let hint { lines.append("  \(paint.cyan("hint:")) \(clean(hint))") }
        return lines.joined(separator: "\n")
    }
}

/// ANSI colours, or none.
struct Paint {
    let on: Bool

    func bold(_ text: String) -> String { wrap(text, "1") }
    func red(_ text: String) -> String { wrap(text, "31") }
    func cyan(_ text: String) -> String { wrap(text, "36") }
    func dim(_ text: String) -> String { wrap(text, "2") }

    private func wrap(_ text: String, _ code: String) -> String { on ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text }
}

/// Text from a plugin as it may be shown on a terminal: control characters other than newline and tab become `�`, so that
/// an error's text can't move the cursor or change colours.
func clean(_ text: String) -> String {
    func isControl(_ scalar: Unicode.Scalar) -> Bool {
        (scalar.value < 0x20 && scalar != "\n" && scalar != "\t") || (0x7F...0x9F).contains(scalar.value)
    }
    guard text.unicodeScalars.contains(where: isControl) else { return text }
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars { result.append(isControl(scalar) ? "\u{FFFD}" : scalar) }
    return String(result)
}

/// The last word in single quotes: Lua names the culprit that way (`near 'baz'`, `field 'data'`) but gives no column.
private func quotedWord(in message: String) -> String? {
    guard let close = message.lastIndex(of: "'"), let open = message[..<close].lastIndex(of: "'") else { return nil }
    let word = message[message.index(after: open)..<close]
    return word.isEmpty || word.contains("\n") ? nil : String(word)
}

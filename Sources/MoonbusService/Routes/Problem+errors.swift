import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import MoonbusPlugins

extension Problem {
    /// A body or an attribute that was refused.
    init(_ error: EventError) {
        switch error.code {
        case .badJSON: self.init(.badJSON, error.message, remedy: "send one JSON value in UTF-8")
        case .tooLarge: self.init(.tooLarge, error.message, remedy: "keep large data elsewhere and send its address")
        case .tooDeep: self.init(.badJSON, error.message, remedy: "nest less deeply")
        default: self.init(.badEvent, error.message, remedy: Self.eventRemedy)
        }
        code = error.code.name
        (line, column) = (place(error.message, after: "line "), place(error.message, after: "column "))
    }

    private static let eventRemedy = """
        a CloudEvent is {"specversion": "1.0", "id": "17", "source": "/shop", "type": "orders.created", "data": …}; sent as application/json it \
        needs "type" only
        """

    /// An event that the bus didn't take.
    init(_ error: EmitError) {
        switch error.code {
        case .full:
            self.init(.full, error.message, remedy: "wait, then send it again: nothing of it was recorded")
            retryAfter = error.retryAfter.map { max(1, Int($0.components.seconds)) } ?? 1
        case .stopped:
            self.init(.unavailable, error.message, remedy: "try again when the service is back")
            retryAfter = 1
        case .tooLarge: self.init(.tooLarge, error.message, remedy: "send fewer events at once")
        case .invalid: self.init(.badEvent, error.message)
        case .journal:
            self.init(.unavailable, error.message, remedy: "send it again later: nothing of it was recorded; reading goes on")
            retryAfter = error.retryAfter.map { max(1, Int($0.components.seconds)) } ?? 1
        default:
            self.init(.unavailable, error.message, remedy: "look at the service's log")
            retryAfter = 1
        }
        code = error.code.description
    }

    /// A journal that didn't answer.
    init(_ error: JournalError) {
        self.init(.unavailable, error.message, remedy: "look at the service's log")
        code = error.code.description
        retryAfter = 1
    }

    /// A plugin that could not be changed.
    init(_ error: PluginError) {
        switch error.code {
        case .notFound: self.init(.notFound, error.message, remedy: "GET /plugins lists the plugins")
        case .stopped: self.init(.unavailable, error.message)
        default: self.init(.badPlugin, error.message, remedy: error.hint)
        }
        code = error.code.description
        (file, line, column) = (error.file, error.line, error.column)
        excerpt = error.excerpt.map(excerptLines) ?? []
    }
}

/// The lines of a source excerpt with their numbers, the one to blame marked with `>`.
func excerptLines(_ excerpt: SourceExcerpt) -> [String] {
    excerpt.lines.enumerated().map { offset, text in
        let number = excerpt.firstLine + offset
        return "\(number == excerpt.line ? ">" : " ") \(number) │ \(text)"
    }
}

/// The number behind a word in an error's text: `MoonbusEvents` says places in words only.
private func place(_ message: String, after word: String) -> Int? {
    guard let range = message.firstRange(of: word) else { return nil }
    return Int(message[range.upperBound...].prefix { $0.isNumber })
}

import MoonbusEvents

/// Reads the options table of a declaration or call, strictly: an unknown option is a mistake that is named, with what
/// was probably meant.
struct OptionReader {
    /// What the options belong to, e.g. `bus.subscribe`; begins each complaint.
    private let subject: String
    private let object: JSONObject

    /// - Parameter json: what the shim encoded; nil: no options.
    init(_ json: UnsafeRawBufferPointer?, of subject: String, known: [String]) throws(Refusal) {
        self.subject = subject
        guard let json else {
            object = JSONObject()
            return
        }
        let value: JSONValue
        do { value = try JSON(validating: json).value } catch { throw Refusal("\(subject): the options can't be read: \(error.message)") }
        // An empty Lua table may have been encoded as an array.
        if value.array?.isEmpty == true {
            object = JSONObject()
            return
        }
        guard let object = value.object else { throw Refusal("\(subject): the options must be a table with names") }
        for member in object where !known.contains(member.key) {
            throw Refusal("\(subject): unknown option \"\(member.key.prefix(80))\"" + Suggestion.hint(for: member.key, in: known))
        }
        self.object = object
    }

    private init(_ object: JSONObject, of subject: String) {
        self.object = object
        self.subject = subject
    }

    func has(_ name: String) -> Bool { object[name] != nil }

    func json(_ name: String) -> JSON? { object[name].map { JSON($0) } }

    func text(_ name: String, sizeMax: Int = 255) throws(Refusal) -> String? {
        guard let value = object[name] else { return nil }
        guard let text = value.string else { throw wrong(name, "a string") }
        guard (1...sizeMax).contains(text.utf8.count) else { throw wrong(name, "a string of 1 to \(sizeMax) bytes") }
        return text
    }

    func integer(_ name: String, in range: ClosedRange<Int64>) throws(Refusal) -> Int? {
        guard let value = object[name] else { return nil }
        guard let integer = value.integer, range.contains(integer) else {
            throw wrong(name, "a whole number, \(range.lowerBound) to \(range.upperBound)")
        }
        return Int(integer)
    }

    /// `"250ms"`, or seconds as a number.
    func duration(_ name: String) throws(Refusal) -> Duration? {
        guard let value = object[name] else { return nil }
        let duration: Duration
        if let text = value.string {
            do { duration = try DurationText.parse(text) } catch { throw Refusal("\(subject): option \"\(name)\": \(error.message)") }
        } else if let seconds = value.number {
            guard seconds.isFinite, (0...Self.secondsMax).contains(seconds) else { throw wrong(name, "0 to 366 days") }
            duration = .microseconds(Int64((seconds * 1e6).rounded()))
        } else {
            throw wrong(name, "a duration: \"250ms\", \"5s\", \"1m30s\", or seconds as a number")
        }
        guard duration <= .seconds(Self.secondsMax) else { throw wrong(name, "0 to 366 days") }
        return duration
    }

    /// A duration that is not zero.
    func interval(_ name: String) throws(Refusal) -> Duration? {
        guard let duration = try duration(name) else { return nil }
        guard duration >= .milliseconds(1) else { throw wrong(name, "at least 1ms") }
        return duration
    }

    func function(_ name: String) throws(Refusal) -> Int32? {
        guard let value = object[name] else { return nil }
        guard let reference = value.object?["$function"]?.integer, let function = Int32(exactly: reference) else {
            throw wrong(name, "a function")
        }
        return function
    }

    /// A table of options inside of this one.
    func options(_ name: String, known: [String]) throws(Refusal) -> OptionReader? {
        guard let value = object[name] else { return nil }
        guard let inner = value.object else { throw wrong(name, "a table with " + known.joined(separator: ", ")) }
        let subject = "\(subject): \(name)"
        for member in inner where !known.contains(member.key) {
            throw Refusal("\(subject): unknown option \"\(member.key.prefix(80))\"" + Suggestion.hint(for: member.key, in: known))
        }
        return OptionReader(inner, of: subject)
    }

    func wrong(_ name: String, _ expected: String) -> Refusal {
        Refusal("\(subject): option \"\(name)\" must be \(expected)")
    }

    func missing(_ what: String) -> Refusal {
        Refusal("\(subject): \(what)")
    }

    /// As `delay=` in the shim: 366 days.
    private static let secondsMax: Double = 366 * 86_400
}

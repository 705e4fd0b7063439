import MoonbusEvents

/// Typed access to a JSON object that a lane sent.
struct Fields {
    /// As the lane allows (``OptionReader``): 366 days. The bus adds what is declared to its clocks.
    private static let microsecondsMax = 366 * 86_400 * 1_000_000

    let object: JSONObject

    init(_ object: JSONObject) {
        self.object = object
    }

    func list<Element>(_ key: String, max: Int, _ make: (Fields) throws(FrameError) -> Element) throws(FrameError) -> [Element] {
        guard let values = object[key]?.array else { throw refusal(key) }
        guard values.count <= max else { throw FrameError(.tooLarge, "declarations: more than \(max) \(key)") }
        var elements: [Element] = []
        for value in values {
            guard let object = value.object else { throw refusal(key) }
            elements.append(try make(Fields(object)))
        }
        return elements
    }

    func text(_ key: String) throws(FrameError) -> String {
        guard let text = object[key]?.string else { throw refusal(key) }
        return text
    }

    func integer(_ key: String) throws(FrameError) -> Int {
        guard let integer = object[key]?.integer else { throw refusal(key) }
        return Int(integer)
    }

    func duration(_ key: String) throws(FrameError) -> Duration {
        let microseconds = try integer(key)
        guard (0...Self.microsecondsMax).contains(microseconds) else { throw refusal(key) }
        return .microseconds(microseconds)
    }

    func function(_ key: String) throws(FrameError) -> Int32 {
        guard let function = Int32(exactly: try integer(key)) else { throw refusal(key) }
        return function
    }

    func optionalText(_ key: String) throws(FrameError) -> String? { object[key] == nil ? nil : try text(key) }

    func optionalInteger(_ key: String) throws(FrameError) -> Int? { object[key] == nil ? nil : try integer(key) }

    func optionalDuration(_ key: String) throws(FrameError) -> Duration? { object[key] == nil ? nil : try duration(key) }

    func optionalFields(_ key: String) throws(FrameError) -> Fields? {
        guard let value = object[key] else { return nil }
        guard let object = value.object else { throw refusal(key) }
        return Fields(object)
    }

    private func refusal(_ key: String) -> FrameError {
        FrameError(.badValue, "declarations: \"\(key)\" is missing or has a wrong type")
    }
}

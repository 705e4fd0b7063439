import Foundation

extension JSON {
    /// Encodes any value: dates as RFC 3339, keys as they are.
    ///
    /// - Throws: `EncodingError`, or ``EventError`` when the JSON is larger or deeper than an event's data may be.
    public init(encoding value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.dateEncodingStrategy = .iso8601
        encoder.outputFormatting = [.withoutEscapingSlashes]
        self = try JSON(validating: Array(try encoder.encode(value)))
    }

    /// Decodes a value.
    ///
    /// - Throws: `DecodingError`, which names the path.
    public func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        return try withUnsafeBytes { (bytes: UnsafeRawBufferPointer) throws -> Value in try decoder.decode(type, from: Data(bytes)) }
    }
}

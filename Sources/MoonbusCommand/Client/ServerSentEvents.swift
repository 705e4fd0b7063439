import NIOCore

/// Takes a stream of server-sent events apart.
struct ServerSentEvents {
    struct Item: Equatable {
        /// The event's name; `message` when it has none.
        var name = "message"
        var data = ""
        /// The comments that stood in it.
        var comments: [String] = []
    }

    private var line: [UInt8] = []
    private var item = Item()

    /// The items that `bytes` completes.
    mutating func take(_ bytes: ByteBuffer) -> [Item] {
        var items: [Item] = []
        for byte in bytes.readableBytesView {
            guard byte == 0x0A else {
                line.append(byte)
                continue
            }
            if line.last == 0x0D { line.removeLast() }
            let text = String(decoding: line, as: UTF8.self)
            line.removeAll(keepingCapacity: true)
            if text.isEmpty {
                if !item.data.isEmpty { items.append(item) }
                item = Item()
            } else if text.hasPrefix("data:") {
                item.data += (item.data.isEmpty ? "" : "\n") + value(text, "data:")
            } else if text.hasPrefix("event:") {
                item.name = value(text, "event:")
            } else if text.hasPrefix(":") {
                item.comments.append(value(text, ":"))
            }
        }
        return items
    }

    private func value(_ line: String, _ name: String) -> String {
        let rest = line.dropFirst(name.count)
        return String(rest.hasPrefix(" ") ? rest.dropFirst() : rest)
    }
}

import Foundation
import Testing

/// A fenced block of a Markdown file, or a line in a Lua file's comment that shows a command.
///
/// The fence says what it is: `lua`, `sh`, `json` (what the `sh` block before it answers), `toml` and the file's name (a `plugin.toml` belongs to
/// the `lua` block after it), or `text` (a picture or a format: no example).
/// `sh not run: REASON` is one that can't be run here.
struct DocumentedExample: Sendable, CustomTestStringConvertible {
    enum Language: String { case lua, sh, json, toml, text }

    var file: String
    /// Of the first line of its text, from 1.
    var line: Int
    /// What the fence says.
    var heading: String
    var text: String
    /// The `json` block after an `sh` block.
    var answer: String?
    /// The `plugin.toml` before a `lua` block.
    var manifest: String?

    var testDescription: String { "\(file):\(line)" }
    var language: Language? { Language(rawValue: String(heading.prefix { $0 != " " })) }
    /// Why it is not run; nil when it is.
    var reasonNotToRun: String? {
        let rest = heading.drop { $0 != " " }
        return rest.hasPrefix(" not run: ") ? String(rest.dropFirst(10)) : nil
    }

    // MARK: Finding them

    /// Every document that shows examples.
    static let all: [DocumentedExample] = {
        let plugins = below("plugins")
        let documents =
            ["README.md", "CONTRIBUTING.md"] + below("docs").filter { $0.hasSuffix(".md") } + plugins.filter { $0.hasSuffix(".md") }
        return documents.flatMap(fences) + plugins.filter { $0.hasSuffix(".lua") }.flatMap(commandsInComments)
    }()

    private static func below(_ folder: String) -> [String] {
        let paths = FileManager.default.enumerator(atPath: repository.appending(path: folder).path)?.compactMap { $0 as? String } ?? []
        return paths.sorted().map { "\(folder)/\($0)" }
    }

    private static func lines(of file: String) -> [String] {
        let text = (try? String(contentsOf: repository.appending(path: file), encoding: .utf8)) ?? ""
        return text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    private static func fences(in file: String) -> [DocumentedExample] {
        var found: [DocumentedExample] = []
        var open: DocumentedExample?
        for (index, line) in lines(of: file).enumerated() {
            if line.hasPrefix("```") {
                if let block = open {
                    if block.language == .json, let last = found.indices.last, found[last].language == .sh {
                        found[last].answer = block.text
                    } else if block.language == .lua, let last = found.last, last.heading == "toml plugin.toml" {
                        found.append(block)
                        found[found.count - 1].manifest = last.text
                    } else {
                        found.append(block)
                    }
                    open = nil
                } else {
                    open = DocumentedExample(file: file, line: index + 2, heading: String(line.dropFirst(3)), text: "")
                }
            } else {
                open?.text += line + "\n"
            }
        }
        return found
    }

    private static func commandsInComments(of file: String) -> [DocumentedExample] {
        lines(of: file).enumerated().compactMap { index, line in
            guard line.hasPrefix("--"), let start = line.range(of: #"(^|\s)(moonbus|curl) [a-z-]"#, options: .regularExpression) else {
                return nil
            }
            let command = line[start.lowerBound...].trimmingCharacters(in: .whitespaces)
            return DocumentedExample(file: file, line: index + 1, heading: "sh", text: command + "\n")
        }
    }
}

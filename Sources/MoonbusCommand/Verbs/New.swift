import ArgumentParser
import MoonbusPlugins

/// `moonbus new`: a plugin to begin with.
struct New: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make a new plugin.",
        discussion: "Writes plugins/NAME.lua, or with --folder plugins/NAME/ with a manifest. Nothing is overwritten.")

    @Argument(help: "The plugin's name: 1 to 64 of a-z, 0-9, _ and -, the first one no -.")
    var name: String

    @Flag(help: "A folder with main.lua, plugin.toml and README.md instead of one file.")
    var folder = false

    @Option(help: "The plugins folder; MOONBUS_PLUGINS.")
    var plugins: String?

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        try await reporting(json: json) {
            // A host would take a name that begins with -; a command line takes it for an option.
            guard PluginSource.isName(name), !name.hasPrefix("-") else {
                throw CommandError(
                    .usage,
                    "'\(printable(name))' can't be a plugin's name: names have 1 to 64 characters out of a-z, 0-9, _ and -, the first one no -"
                )
            }
            let place = plugins ?? environment("MOONBUS_PLUGINS") ?? "plugins"
            let scaffold = Scaffold(name: name, isFolder: folder)
            let made = try scaffold.write(to: place)
            let terminal = Terminal.standardOutput
            if json {
                terminal.print(JSONLine { $0.text("plugin", name).texts("files", made).text("type", scaffold.type) }.text)
                return
            }
            for path in made { terminal.print("  \(terminal.paint(.green, "made")) \(path)") }
            terminal.print(
                """

                next:
                  moonbus check\(place == "plugins" ? "" : " \(place)")
                  moonbus run\(place == "plugins" ? "" : " --plugins \(place)")        (picks it up while it runs)
                  moonbus emit \(scaffold.type) '{"name": "Ada"}' --wait
                """)
        }
    }
}

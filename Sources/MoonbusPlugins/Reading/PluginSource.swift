/// Everything that the host reads of a plugin, as it was at one moment.
///
/// A plugin is `NAME.lua`, or a folder `NAME` with `main.lua`, optionally `plugin.toml` and `lib/**/*.lua`. Everything else in
/// the folder (tests, notes, editors' files) is not read. Reading it is in `PluginFolder`.
package struct PluginSource: Sendable, Equatable {
    /// One of the plugin's Lua files.
    package struct File: Sendable, Equatable {
        /// The path inside the plugin: `main.lua`, `lib/prices.lua`. A plugin of one file has only `main.lua`.
        package var path: String
        package var bytes: [UInt8]
    }

    /// The name: 1…64 of a-z, 0-9, `_` and `-`.
    package var name: String
    /// Whether it is a folder (otherwise a single file).
    package var isFolder: Bool
    /// `main.lua` first, then the modules by path.
    package var files: [File]
    /// The text of `plugin.toml`.
    package var manifest: String?

    /// The largest file, and the largest plugin altogether, that is read, in bytes.
    package static let fileSizeMax = 1 << 20, sizeMax = 8 << 20
    /// How many modules a plugin may have.
    package static let fileCountMax = 1_000
    /// How deep `lib` may be nested.
    package static let depthMax = 8

    package static func isName(_ text: some StringProtocol) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5F || $0 == 0x2D }
    }

    /// A fingerprint of all content (FNV-1a, 64 bit): tells versions apart in notices; it is no protection against intent.
    package var digest: UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func mix(_ bytes: some Sequence<UInt8>) {
            for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
            hash = (hash ^ 0xFF) &* 0x100_0000_01b3
        }
        for file in files {
            mix(file.path.utf8)
            mix(file.bytes)
        }
        if let manifest { mix(manifest.utf8) }
        return hash
    }

    /// How a person finds a file of the plugin: the path below the plugins folder.
    ///
    /// The file of a plugin that is one file is called so inside the plugin, too.
    package func shownPath(of path: String) -> String { isFolder ? "\(name)/\(path)" : "\(name).lua" }

    /// The text of one of the plugin's files, for excerpts; nil when there is no such file. A plugin that is one file has just that.
    package func text(of path: String) -> String? {
        if path == "plugin.toml" { return manifest }
        return files.first { $0.path == path || !isFolder }.map { String(decoding: $0.bytes, as: UTF8.self) }
    }
}

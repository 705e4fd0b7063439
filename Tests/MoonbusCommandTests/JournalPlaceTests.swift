import Testing

@testable import MoonbusCommand

@Suite struct JournalPlaceTests {
    @Test(arguments: [
        ("plugins", ".moonbus"), ("plugins/", ".moonbus"), ("/srv/app/plugins", "/srv/app/.moonbus"), ("a/b//", "a/.moonbus"),
        (".", "./../.moonbus"), ("..", "../../.moonbus"), ("/plugins", "/.moonbus"),
    ])
    func `a journal is kept beside the plugins folder when nobody says where`(plugins: String, folder: String) {
        #expect(JournalPlace(besides: plugins) == .folder(folder))
    }

    @Test func `'memory' is no folder, and nothing is no place`() {
        #expect(JournalPlace("memory") == .memory)
        #expect(JournalPlace("./memory") == .folder("./memory"))
        #expect(JournalPlace("") == nil)
    }

    @Test(arguments: [("0", 0), ("4096", 4_096), ("500MiB", 500 << 20), ("4GiB", 4 << 30), ("1KiB", 1_024)])
    func `a number of bytes is read with its unit`(text: String, count: Int) {
        #expect(ByteCountText.parse(text) == count)
    }

    @Test(arguments: ["", "GiB", "-1", "4GB", "1.5GiB", "9999999999GiB", "4 GiB"])
    func `what is no number of bytes is refused`(text: String) {
        #expect(ByteCountText.parse(text) == nil)
    }
}

import MoonbusDispatch
import MoonbusEvents
import MoonbusJournal
import Testing

@Suite struct StateRouteTests {
    @Test func `a value is stored, shown with its version, and deleted`() async throws {
        try await TestService.run { service async throws in
            let put = try await service.ask("PUT", "/plugins/p/kv/a%2Fb", body: #"{"n":1}"#)
            #expect(put.status == 200)
            let got = try await service.ask("GET", "/plugins/p/kv/a%2Fb")
            #expect(got["value", "n"] == 1)
            #expect(got["key"] == "a/b")
            #expect(got.fields["etag"] == got["version"]?.string.map { "\"\($0)\"" })
            #expect(got.fields["etag"] == put.fields["etag"])
            #expect(try await service.ask("GET", "/plugins/other/kv/a%2Fb").status == 404)
            #expect(try await service.ask("DELETE", "/plugins/p/kv/a%2Fb")["deleted"] == true)
            #expect(try await service.ask("GET", "/plugins/p/kv/a%2Fb").status == 404)
            #expect(try await service.ask("DELETE", "/plugins/p/kv/a%2Fb").status == 404)
        }
    }

    @Test func `values are listed by prefix, in the order of their keys, page by page`() async throws {
        try await TestService.run { service async throws in
            for key in ["b:1", "a:2", "a:1", "a:3"] { _ = try await service.ask("PUT", "/plugins/p/kv/\(key)", body: "1") }
            func keys(_ reply: RawConnection.Reply) -> [String] {
                (reply["entries"]?.array ?? []).compactMap { $0.object?["key"]?.string }
            }
            #expect(keys(try await service.ask("GET", "/plugins/p/kv")) == ["a:1", "a:2", "a:3", "b:1"])
            let page = try await service.ask("GET", "/plugins/p/kv?prefix=a:&limit=2")
            #expect(keys(page) == ["a:1", "a:2"])
            #expect(page["next"] == "a:2")
            let rest = try await service.ask("GET", "/plugins/p/kv?prefix=a:&limit=2&after=a:2")
            #expect(keys(rest) == ["a:3"])
            #expect(rest["next"] == nil)
        }
    }

    @Test func `a write that expects another version changes nothing and is answered with 412`() async throws {
        try await TestService.run { service async throws in
            let first = try await service.ask("PUT", "/plugins/p/kv/k", fields: ["If-None-Match: *"], body: "1")
            #expect(first.status == 200)
            let etag = try #require(first.fields["etag"])
            #expect(try await service.ask("PUT", "/plugins/p/kv/k", fields: ["If-None-Match: *"], body: "2").status == 412)
            #expect(try await service.ask("PUT", "/plugins/p/kv/k", fields: ["If-Match: \(etag)"], body: "3").status == 200)
            let late = try await service.ask("PUT", "/plugins/p/kv/k", fields: ["If-Match: \(etag)"], body: "4")
            #expect(late.status == 412)
            #expect(late["type"] == "urn:moonbus:problem:changed")
            #expect(try await service.ask("DELETE", "/plugins/p/kv/k", fields: ["If-Match: \(etag)"]).status == 412)
            #expect(try await service.ask("GET", "/plugins/p/kv/k")["value"] == 3)
        }
    }

    @Test func `a value with a lifetime says when it goes away`() async throws {
        try await TestService.run { service async throws in
            _ = try await service.ask("PUT", "/plugins/p/kv/k?expires=1h", body: "1")
            #expect(try await service.ask("GET", "/plugins/p/kv/k")["expires"] != nil)
        }
    }

    @Test(arguments: [
        ("PUT", "", "", 400), ("PUT", "", "{", 400), ("PUT", "If-Match: x", "1", 400), ("PUT", "If-None-Match: \"1\"", "1", 400),
        ("PUT", "?expires=soon", "1", 400),
    ])
    func `a write that can't be is refused`(method: String, detail: String, body: String, status: Int) async throws {
        try await TestService.run { service async throws in
            let isQuery = detail.hasPrefix("?")
            let reply = try await service.ask(
                method, "/plugins/p/kv/k\(isQuery ? detail : "")", fields: detail.isEmpty || isQuery ? [] : [detail], body: body)
            #expect(reply.status == status)
            #expect(reply.fields["content-type"] == "application/problem+json")
        }
    }

    @Test func `a key and a value have bounds`() async throws {
        try await TestService.run { service async throws in
            let key = String(repeating: "k", count: 512)
            #expect(try await service.ask("PUT", "/plugins/p/kv/\(key)", body: "1").status == 200)
            #expect(try await service.ask("PUT", "/plugins/p/kv/\(key)k", body: "1").status == 400)
            let value = #""\#(String(repeating: "v", count: (256 << 10) - 2))""#
            #expect(try await service.ask("PUT", "/plugins/p/kv/k", body: value).status == 200)
            #expect(try await service.ask("PUT", "/plugins/p/kv/k", body: value + " ").status == 413)
        }
    }
}

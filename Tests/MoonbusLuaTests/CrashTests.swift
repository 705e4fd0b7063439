import MoonbusLua
import Testing

/// What takes Debian's liblua 5.4.4 down, or makes it misread memory, from plain script code.
@Suite(.serialized) struct CrashTests {
    private let limits = LuaLimits.quick(cpu: .seconds(5), memory: 64 << 20)

    @Test func `a __concat that makes the stack grow gets the right answer, because stacks do not move`() throws {
        let value = try evaluate(
            """
            (function()
              local function deep(n) if n == 0 then return 0 end return 1 + deep(n - 1) end
              local t = setmetatable({}, {__concat = function() deep(2000) return "M" end})
              for round = 1, 200 do
                local got = coroutine.wrap(function() return "a" .. "b" .. "c" .. "d" .. t end)()
                if got ~= "abcM" then return got end
              end
              return "a" .. "b" .. "c" .. "d" .. t
            end)()
            """, limits: limits)
        #expect(value == #""abcM""#)
    }

    @Test func `stacks that grow and shrink in hundreds of coroutines keep their contents`() throws {
        let value = try evaluate(
            """
            (function()
              local function deep(n) if n == 0 then coroutine.yield() return 0 end return 1 + deep(n - 1) end
              local all = {}
              for i = 1, 300 do
                local depth = (i * 37) % 900 + 1
                local co = coroutine.wrap(function() return deep(depth), depth end)
                co()
                all[i] = co
                if i % 50 == 0 then for _ = 1, 2000 do local junk = {{}, {}} end end
              end
              for i = 1, 300 do
                local got, want = all[i]()
                if got ~= want then return {i, got, want} end
              end
              return "right"
            end)()
            """, limits: limits)
        #expect(value == #""right""#)
    }

    @Test func `more coroutines than there are pinned stacks still work`() throws {
        let value = try evaluate(
            """
            (function()
              local all, sum = {}, 0
              for i = 1, 5000 do
                all[i] = coroutine.wrap(function() local function deep(n) if n == 0 then coroutine.yield() return 0 end return 1 + deep(n - 1) end return deep(i % 60) end)
                all[i]()
              end
              for i = 1, 5000 do sum = sum + all[i]() end
              return sum
            end)()
            """, limits: limits)
        #expect(value == "\((1...5000).reduce(0) { $0 + $1 % 60 })")
    }

    @Test func `a gmatch iterator that failed once is dead`() throws {
        let value = try evaluate(
            "(function() local it = string.gmatch(('a'):rep(1000000), ('a?'):rep(1000000)) return {pcall(it), (select(2, pcall(it)))} end)()",
            limits: limits)
        #expect(value.contains(text: "this gmatch iterator has failed before"), "\(value)")
    }

    @Test func `coroutines that close one another in a chain end in an error`() throws {
        let value = try evaluate(
            """
            (function()
              local prev = false
              for _ = 1, 20000 do
                local p = prev
                prev = coroutine.create(function()
                  local c <close> = setmetatable({}, {__close = function() if p then assert(coroutine.close(p)) end end})
                  coroutine.yield()
                end)
                coroutine.resume(prev)
              end
              return coroutine.close(prev)
            end)()
            """, limits: limits)
        #expect(value == "false" || value.contains(text: "close one another"), "\(value)")
    }

    @Test(arguments: ["(", "{", "- ", "not ", "function() return "])
    func `source that is nested too deep is refused`(piece: String) throws {
        #expect(try evaluate("load('return ' .. ('\(piece)'):rep(100000) .. '1') == nil", limits: limits) == "true")
    }

    @Test(arguments: [
        "function(n, go) return (('x'):gsub('x', function() return go(n + 1) end)) end",
        "function(n, go) return coroutine.wrap(function() return go(n + 1) end)() end",
        "function(n, go) return pcall(go, n + 1) end", "function(n, go) return load(function() go(n + 1) return nil end) end",
        "function(n, go) return tostring(setmetatable({}, {__tostring = function() return go(n + 1) end})) end",
        "function(n, go) table.sort({2, 1}, function() go(n + 1) return false end) end",
        "function(n, go) local c <close> = setmetatable({}, {__close = function() go(n + 1) end}) end",
        "function(n, go) local co = coroutine.create(function() local c <close> = setmetatable({}, {__close = function() local _ = ('x'):gsub('x', function() return go(n + 1) end) end}) coroutine.yield() end) coroutine.resume(co) assert(coroutine.close(co)) end",
        "function(n, go) local t = setmetatable({}, {__index = function() return go(n + 1) end}) return t.x end",
    ])
    func `recursion through C ends in an error or at the limit`(way: String) throws {
        let value = try evaluate(
            "(function() local way = \(way) local function go(n) return way(n, go) end return type(select(2, pcall(go, 1))) end)()",
            limits: .quick(cpu: .seconds(2), grace: .milliseconds(500), memory: 64 << 20))
        #expect(!value.isEmpty)
    }
}

import CLuaShim
import MoonbusLua
import Testing

/// `event.data` decodes its members when they are asked for. Whatever a script does with it, it must come to what the same does with
/// the same data decoded at once.
@Suite struct EventDataTests {
    /// Does the same to two tables, step by step, and says where they began to differ.
    private static let twins = #"""
        local function shown(value, depth)
          if type(value) ~= "table" then return tostring(value) end
          local parts = {}
          for key, member in pairs(value) do parts[#parts + 1] = tostring(key) .. "=" .. shown(member) end
          table.sort(parts)
          return "{" .. table.concat(parts, ",") .. "}"
        end

        local steps = {
          function(t, name) return t[name] end,
          function(t, name) return t[name], t[name] end,
          function(t, name) t[name] = "new" return t[name] end,
          function(t, name) t[name] = nil return t[name] end,
          function(t, name) return rawget(t, name) end,
          function(t, name) rawset(t, name, 7) return t[name] end,
          function(t) return #t, rawlen(t) end,
          function(t) return shown(t) end,
          function(t) return select(2, pcall(next, t)) ~= nil end,
          function(t) return #json.encode(t) end,
          function(t) return #json.encode({t}) end,
          function(t) return getmetatable(t) end,
          function(t, name) return rawequal(t[name], t[name]) end,
          function(t, name) local within = t[name] if type(within) == "table" then within.added = 1 end return shown(within) end,
          function(t, name) local within = t[name] if type(within) == "table" then t[name] = nil end return t[name] end,
          function(t, name) local within = t[name] return type(within) == "table" and within[name], within == t[name] end,
          function(t, name)
            local within = t[name]
            within = type(within) == "table" and within[name]
            return type(within) == "table" and within[name]
          end,
          function(t) table.insert(t, "at the end") return t[1], t[2] end,
          function(t) for index, value in ipairs(t) do return index, value end end,
          function(t) return table.unpack(t) end,
          function(t) local count = 0 for key in pairs({}), t do count = count + #tostring(key) end return count, pairs(t) == next end,
          function(t, name) local within = t[name] return type(within) == "table" and type(pairs({})(within)) end,
          function(t) return pcall(function() t[nil] = 1 end) end,
          function(t) return pcall(function() t[0/0] = 1 end) end,
          function(t, name) for number = 1, 20 do if t[number] or t[name .. number] then return number end end return t[name] end,
          function(t) return t[1], t[true], t[1.5] end,
          function(t, name) return tostring(t):match("^%a+"), type(t[name]) end,
          function(t) return pcall(setmetatable, t, {__index = function(_, name) return tostring(name) .. "?" end}) end,
          function(t) return shown(setmetatable({}, {__index = t}).amount) end,
          function(t) return pcall(function() return t + 1 end) end,
          function(t) return pcall(function() return t() end) end,
          function(t) return table.concat({pcall(string.rep, t)}, " ", 2) end,
        }

        return function(event, names, count)
          local lazy, plain = event.data, json.decode(json.encode(event)).data
          for number = 1, count do
            local step, name = math.random(#steps), names[math.random(#names)]
            local got, wanted = shown({pcall(steps[step], lazy, name)}), shown({pcall(steps[step], plain, name)})
            if got ~= wanted then return ("step %d, way %d, %s: %s, not %s"):format(number, step, name, got, wanted) end
          end
          local got, wanted = shown(lazy), shown(plain)
          return got == wanted or got .. ", not " .. wanted
        end
        """#

    private static let filler = String(repeating: "more than late tables ask for; ", count: 5)
    private static let large = "{" + (0..<100).map { #""m\#($0)":\#($0 % 7 == 0 ? "[\($0)]" : "\($0)")"# }.joined(separator: ",") + "}"
    private static let nested =
        #"{"amount":{"amount":{"amount":{"amount":"\#(filler)"},"b":2,"c":"\#(filler)"},"b":["\#(filler)"]},"#
        + #""b":{"c":"\#(filler)","amount":1}}"#
    private static let order =
        #"{"amount":150,"customer":{"id":"c-1","tags":["a","b"]},"items":[{"sku":1},{"sku":2}],"note":null,"paid":true}"#
    private static let spaced =
        #"{"amount" : 1.5e3 ,\#n"tax":-0.5, "text":"\u00e9\n\"quoted\"","a\"b":1,"deep":{"deep":{"deep":[[[1]]]}} }"#
    private static let escaped = #"{"a":"a string that holds \"amount\":1, and }","amount":2,"\\":3,"\\\\":4,"":5,"b\\":6}"#
    private static let numbers =
        #"{"amount":9007199254740993,"big":123456789012345678901234567890,"zero":0,"minus":-0,"__index":{"amount":1},"__gc":1}"#
    private static let names =
        #"{"1":"one","amount":[],"empty":{},"é":"ü","name":"value","long name that no cache keeps, as it has more bytes than forty":1}"#

    @Test(
        arguments: [
            (order, "amount customer items note paid"), (spaced, #"amount tax text a"b deep a\"b"#), (escaped, #"a amount \ \\ b\ b"#),
            (numbers, "amount big zero minus __index __gc"), (names, "1 amount empty é name"), (nested, "amount b"),
            (large, "m0 m1 m63 m64 m65 m70 m98 m99 amount"), ("[1,2,{\"amount\":3}]", "amount"),
            ("{                            }", "amount"),
        ])
    func `no way of using it shows that data is decoded late`(data: String, names: String) throws {
        try onLane { lane in
            let source = """
                local twins = (function() \(Self.twins) end)()
                local names = {}
                for name in (\(quoted(names)) .. " absent"):gmatch("%S+") do names[#names + 1] = name end
                host.on(function(event) return twins(event, names, 1 + math.random(6)) end)
                """
            for seed in 0..<400 as Range<UInt64> {
                let script = try Script(on: lane, source)  // a context learns to decode at once what is used so much
                let outcome = script.send(data) { $0.seed = seed }
                guard outcome?.text == "true" else {
                    Issue.record("seed \(seed): \(outcome?.text ?? "nothing")")
                    return
                }
            }
        }
    }

    private func quoted(_ text: String) -> String { "[==[\(text)]==]" }

    @Test(arguments: [#"a\":{\"z\":1},\"b"#, #"a\":{\"z"#, #"b\":2"#, #"a\\"#, #"\""#])
    func `a name that is a piece of the text is no member`(name: String) throws {
        try onLane { lane in
            let script = try Script(
                on: lane, "host.on(function(event) local data = event.data return {data[data.want] == nil, data.a.z, data.b} end)")
            let padding = String(repeating: "p", count: 200)
            let outcome = script.send(#"{"padding":"\#(padding)","want":"\#(name)","a":{"z":1},"b":2}"#)
            #expect(outcome?.text == "[true,1,2]")
        }
    }

    @Test(
        arguments: [
            "pairs(event)(1)", "pairs(event)('text')", "pairs(event.data)(1)", "pairs(string)(true)", "pairs(bus)(print)", "next(event)",
            "pairs(event)(event)",
        ])
    func `no iterator takes what is no table`(expression: String) throws {
        try onLane { lane in
            let script = try Script(on: lane, "host.on(function(event) return {pcall(function() return \(expression) end)} end)")
            let outcome = script.send(#"{"padding":"more than twenty bytes","a":1}"#)
            #expect(outcome?.text.hasPrefix("[false,") == true && outcome?.text.contains(text: "table expected") == true)
        }
    }

    @Test func `a chain of objects takes no more memory than its text, twice`() throws {
        try onLane { lane in
            let source = """
                host.on(function(event)
                  local levels, within = 0, event.data
                  while type(within.a) == "table" do levels, within = levels + 1, within.a end
                  return levels
                end)
                """
            let script = try Script(on: lane, limits: .quick(cpu: .seconds(2), memory: 2 << 20), source)
            let filler = String(repeating: "f", count: 10_000)
            let data = String(repeating: "{\"f\":\"\(filler)\",\"a\":", count: 62) + "1" + String(repeating: "}", count: 62)
            #expect(script.send(data)?.text == "61")
        }
    }

    @Test func `data that is kept outlives its event`() throws {
        try onLane { lane in
            let script = try Script(
                on: lane,
                """
                local kept, deep = {}, {}
                host.on(function(event)
                  kept[#kept + 1] = event.data
                  for _ = 1, 200 do local waste = {("x"):rep(500)} end
                  local sum = 0
                  for _, data in ipairs(kept) do sum = sum + data.number + #data.text end
                  deep[#deep + 1] = event.data.within.deeper
                  for _, data in ipairs(deep) do sum = sum + #data.text - 150 end
                  return sum
                end)
                """)
            var sum = 0
            for number in 0..<40 {
                sum += number + 30
                let (text, long) = (String(repeating: "t", count: 30), String(repeating: "l", count: 150))
                let data = #"{"number":\#(number),"text":"\#(text)","within":{"deeper":{"text":"\#(long)"}},"list":[1,2,3]}"#
                #expect(script.send(data)?.text == "\(sum)")
            }
        }
    }

    @Test func `what is encoded and decoded at once does not get mixed up`() throws {
        try onLane { lane in
            let source = "host.on(function(event) return json.encode({before = 'b', data = {event.data}, z = 'z'}) end)"
            let script = try Script(on: lane, source)
            let text = try #require(script.send(#"{"text":"one\ntwo \"three\" and more","number":1234567890}"#)?.text)
            #expect(text.contains(text: #"one\\ntwo \\\"three\\\" and more"#))
            #expect(text.contains(text: #"\"before\":\"b\""#))
            #expect(text.contains(text: "1234567890"))
        }
    }

    @Test func `memory that runs out while data is completed leaves no wrong value`() throws {
        try onLane { lane in
            let source = """
                host.on(function(event)
                  local data, hog, last = event.data, {}, nil
                  pcall(function() while true do hog = {hog} end end)
                  for _ = 1, event.data.free do hog = hog[1] end
                  local is_complete = pcall(next, data)
                  hog = nil
                  host.note(is_complete and "complete" or "cut")
                  data.m3, data.m7 = "mine", nil
                  local names = {}
                  for name, value in pairs(data) do names[#names + 1] = name .. "=" .. (type(value) == "table" and value[1] or value) end
                  table.sort(names)
                  return table.concat(names, " ")
                end)
                """
            var seen = Set<String>()
            for free in 4..<80 {
                let script = try Script(on: lane, limits: .quick(cpu: .seconds(2), memory: 1 << 20), source)
                let members = (0..<12).map { ("m\($0)", "[\($0)]") } + [("free", "\(free)")]
                let outcome = script.send("{" + members.map { "\"\($0)\":\($1)" }.joined(separator: ",") + "}")
                let expected = members.filter { $0.0 != "m7" }.map { $0 == "m3" ? "m3=mine" : "\($0)=\($1.filter(\.isNumber))" }.sorted()
                #expect(outcome?.text == "\"\(expected.joined(separator: " "))\"", "\(free) given free")
                seen.formUnion(script.notes)
            }
            #expect(seen == ["complete", "cut"])
        }
    }
}

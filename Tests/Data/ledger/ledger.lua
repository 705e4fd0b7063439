-- Counts what it handles, so that a test can hold the count against a ledger of its own.
-- Each fact is {n = its number under its key}; facts of one key come with rising numbers.

--- Books one event in four places that must agree: a total, a sum for each key, the last number of each key, and a page of marks.
local function book(place, event)
  local key, n = event.partitionkey, event.data.n
  kv.incr(place .. "/total")
  kv.incr(place .. "/of/" .. key)
  local last = kv.get(place .. "/last/" .. key) or 0
  if n <= last then kv.incr(place .. "/disorder") end
  kv.set(place .. "/last/" .. key, n)
  -- A page holds a hundred numbers, so that neither the number of values nor a value grows with the run.
  local page = string.format("%s/page/%s/%06d", place, key, n // 100)
  local marks = kv.get(page) or {}
  local name = tostring(n)
  marks[name] = (marks[name] or 0) + 1
  kv.set(page, marks)
end

bus.subscribe("ledger.fact", { name = "facts", retry = { attempts = 50, backoff = "50ms", max = "1s" } }, function(event)
  book("facts", event)
  bus.emit("ledger.derived", { n = event.data.n }, { key = event.partitionkey })
end)

bus.subscribe("ledger.derived", { name = "derived", retry = { attempts = 50, backoff = "50ms", max = "1s" } }, function(event)
  book("derived", event)
end)

-- What was booked: {total, disorder} of both places without a key, {of, pages} with one.
bus.subscribe("ledger.report", { name = "report" }, function(event)
  local report = {}
  for _, place in ipairs { "facts", "derived" } do
    local key = event.data and event.data.key
    if key then
      local pages = json.array()
      for _, entry in ipairs(kv.scan(place .. "/page/" .. key .. "/")) do pages[#pages + 1] = entry.value end
      report[place] = { of = kv.get(place .. "/of/" .. key) or 0, pages = pages }
    else
      report[place] = { total = kv.get(place .. "/total") or 0, disorder = kv.get(place .. "/disorder") or 0 }
    end
  end
  return report
end)

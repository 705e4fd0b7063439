-- A source written in Lua: it is called every ten seconds with its cursor, emits what it found, and returns the new
-- cursor. Cursor and events are committed together: a crash between them cannot skip or repeat a beat.
bus.source({
  name = "beat",
  every = "10s",
  poll = function(cursor)
    local count = (cursor and cursor.count or 0) + 1
    bus.emit("heartbeat.beat", { count = count, at = time.format(time.now()) })
    return { count = count }
  end,
  -- How each handler of `heartbeat.beat` ended comes back to the source that made it.
  result = function(result)
    log.debug("beat settled", { by = result.subscription, status = result.status })
  end,
})

bus.subscribe("heartbeat.beat", { name = "listen" }, function(event)
  return { seen = event.data.count }
end)

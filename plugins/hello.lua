-- The smallest plugin: one file, one handler. Default limits, no permissions beyond emitting and its own kv.
-- Try it:  moonbus emit hello.asked '{"name": "Ada"}' --wait
bus.subscribe("hello.asked", function(event)
  local name = event.data.name or "world"
  local times = kv.incr("greeted:" .. name)
  bus.emit("hello.greeted", { name = name, times = times })
  return { greeting = "Hello, " .. name .. "!", times = times }
end)

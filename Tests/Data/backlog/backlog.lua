-- What a long absence leaves behind: deliveries that nobody has made, and events that wait for their time.
bus.subscribe("backlog.fact", { name = "facts" }, function() end)

bus.subscribe("backlog.later", { name = "later" }, function(event)
  for _ = 1, event.data do bus.emit("backlog.fact", nil, { delay = "1h" }) end
end)

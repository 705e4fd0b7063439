bus.subscribe("quick.fact", { name = "quick" }, function() return true end)

-- A poison event fails whenever it is tried; those behind it in its key have to get past.
bus.subscribe("quick.poison", { name = "poison", retry = { attempts = 3, backoff = "10ms" } }, function(event)
  if event.data.poison then error("this one can't be handled") end
  return event.data
end)

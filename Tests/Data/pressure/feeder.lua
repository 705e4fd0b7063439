-- A handler whose event finds no room waits for it; that is its own affair.
bus.subscribe("feeder.fact", { name = "feeder" }, function() bus.emit("slow.fact") end)

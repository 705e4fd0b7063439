-- Takes one event and is not heard of again: its queue fills up.
bus.subscribe("slow.fact", { name = "slow", concurrency = 1, timeout = "10m" }, function() time.sleep("9m") end)

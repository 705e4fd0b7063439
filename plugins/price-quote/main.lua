-- Request and reply. A handler's return value answers whoever asked: `bus.request`, a waiting HTTP client, `emit --wait`.
--   moonbus emit quote.requested '{"sku": "A-100", "quantity": 12}' --wait
local prices = require("prices")

bus.subscribe("quote.requested", { name = "quote" }, function(event)
  local order = event.data
  local unit = prices.unit(order.sku)
  if not unit then
    bus.reject("no price for sku " .. tostring(order.sku))
  end
  local total = prices.total(unit, order.quantity or 1)
  return { sku = order.sku, quantity = order.quantity or 1, unit_cents = unit, total_cents = total }
end)

-- Another handler asks it. `bus.request` waits without blocking anyone else.
bus.subscribe("order.placed", { name = "price" }, function(event)
  local quote = bus.request("quote.requested", event.data, { timeout = "1s" })
  bus.emit("order.priced", { order = event.id, total_cents = quote.total_cents })
  return quote
end)

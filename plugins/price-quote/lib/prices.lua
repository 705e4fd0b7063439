-- Prices are in cents: integers stay integers, all the way.
local prices = {}

local catalogue = { ["A-100"] = 1250, ["B-200"] = 499, ["C-300"] = 25000 }

--- The price of one, in cents; nil for an unknown sku.
function prices.unit(sku)
  return catalogue[sku]
end

--- Ten or more are 10 % cheaper, rounded down to the cent.
function prices.total(unit, quantity)
  local total = unit * quantity
  if quantity >= 10 then
    total = total * 9 // 10
  end
  return total
end

return prices

-- Watches temperature readings (`temperature.<station>`, data {date, temp}) and says when a station becomes cold or
-- hot and when it is over. One state per station, kept in kv: it survives reloads, and it is committed together
-- with the event that changed it, so no reading is counted twice and no alarm is lost or doubled.

local bands = {
  cold = { enters = function(t) return t <= config.cold.at end, leaves = function(t) return t >= config.cold["until"] end },
  hot = { enters = function(t) return t >= config.hot.at end, leaves = function(t) return t <= config.hot["until"] end },
}

local function station_of(event)
  return event.type:match("^temperature%.(.+)$")
end

-- Readings of one station must be seen in order: the type names the station, so the type is the key.
bus.subscribe("temperature.*", { name = "watch", key = "type" }, function(event)
  local reading, station = event.data, station_of(event)
  if type(reading.temp) ~= "number" then
    bus.reject("temp is missing or not a number")
  end

  local state = kv.get(station) or { now = "mild", alarms = 0 }
  local before = state.now

  if before ~= "mild" and bands[before].leaves(reading.temp) then
    bus.emit("climate.cleared", { station = station, was = before, temp = reading.temp, date = reading.date }, { subject = station })
    state.now = "mild"
  end
  if state.now == "mild" then
    for name, band in pairs(bands) do
      if band.enters(reading.temp) then
        state.now, state.alarms = name, state.alarms + 1
        bus.emit("climate.alarm", { station = station, is = name, temp = reading.temp, date = reading.date }, { subject = station })
      end
    end
  end
  if state.now ~= before then
    kv.set(station, state)
  end
end)

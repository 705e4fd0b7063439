-- Adds up each station's readings by calendar day, says how each finished day was (`report.day`), and every morning at
-- seven, local time, sends the last finished day of all stations (`report.morning`).

local function first_of_day(date, temp)
  return { date = date, hours = 0, min = temp, max = temp, sum = 0 }
end

local function summary(station, day)
  return { station = station, date = day.date, hours = day.hours, min = day.min, max = day.max, mean = day.sum / day.hours }
end

bus.subscribe("temperature.*", { name = "collect", key = "type" }, function(event)
  local station = event.type:match("^temperature%.(.+)$")
  local date, temp = event.data.date:sub(1, 10), event.data.temp

  local day = kv.get("open:" .. station)
  if day and day.date ~= date then
    local finished = summary(station, day)
    bus.emit("report.day", finished, { subject = station })
    kv.set("finished:" .. station, finished)
    kv.incr("days:" .. station)
    day = nil
  end
  day = day or first_of_day(date, temp)

  day.hours, day.sum = day.hours + 1, day.sum + temp
  day.min, day.max = math.min(day.min, temp), math.max(day.max, temp)
  kv.set("open:" .. station, day)
end)

local function latest()
  local stations = {}
  for _, entry in ipairs(kv.scan("finished:")) do
    stations[#stations + 1] = entry.value
  end
  return { stations = json.array(stations) }
end

bus.cron("0 7 * * *", { name = "morning", tz = config.zone }, function()
  bus.emit("report.morning", latest())
end)

-- The same report on demand:  moonbus emit report.requested --wait
bus.subscribe("report.requested", { name = "on-demand" }, function()
  return latest()
end)

-- Maps the API that the hostile scripts assume to ours; put in front of each of them.
local real = bus
local function as_event(event)
  return { name = event.type, data = event.data, reply = function() end }
end
local function milliseconds(ms)
  return ms / 1000
end
bus = {
  on = function(pattern, fn)
    return real.subscribe(pattern, { retry = { attempts = 1 } }, function(event) return fn(as_event(event)) end)
  end,
  emit = function(name, data) return real.emit(name, data) end,
  after = function(ms, fn) return real.every(milliseconds(ms), fn) end,
  every = function(ms, fn) return real.every(milliseconds(ms), fn) end,
  request = function(name, data, timeout) return real.request(name, data, { timeout = milliseconds(timeout or 1000) }) end,
}
function log_text(text) log.info(text) end

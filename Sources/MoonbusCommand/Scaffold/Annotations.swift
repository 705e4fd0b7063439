/// What `moonbus new` writes to `.luals/moonbus.lua`: the copy of `plugins/.luals/moonbus.lua` that travels in the binary.
/// `scripts/annotations` makes this file from that one; a test says when it has to be run.
let annotations = #"""
    ---@meta moonbus
    -- What a Moonbus plugin sees, for editors (lua-language-server). This file is never loaded by Moonbus.
    -- [effect]: staged; committed together with the acknowledgement of the event when the handler returns, or not at all.
    -- [call]: happens now. Calls marked "waits" suspend this handler and block nobody else.
    -- Durations are strings ("250ms", "5s", "1m30s", "2h", "1d") or numbers of seconds; instants are RFC 3339 strings.

    ---@alias moonbus.duration string|number
    ---@alias moonbus.json nil|boolean|integer|number|string|table Anything JSON can hold.

    --- An immutable fact: a CloudEvent 1.0. Fields are read-only; `data` is this handler's own copy.
    ---@class moonbus.event
    ---@field id string unique together with `source`
    ---@field source string where it comes from, e.g. "/plugins/thermostat"
    ---@field type string the dotted name that it was routed by: "orders.eu.created"
    ---@field subject? string what it is about, e.g. an order's id; the default ordering key
    ---@field time string RFC 3339
    ---@field data any decoded JSON
    ---@field partitionkey? string ordering key, when it is not the subject
    ---@field traceparent? string W3C trace context
    ---@field causeid? string id of the event whose handling made this one
    ---@field hops integer how many handlings lie between this event and the first one
    ---@field attempt integer 1 on the first try

    ---@class bus
    bus = {}

    ---@class moonbus.emit_options
    ---@field subject? string what the event is about
    ---@field key? string ordering key (CloudEvents `partitionkey`), at most 255 bytes
    ---@field delay? moonbus.duration deliver it later; the timer is in the journal
    ---@field at? string deliver it at this instant (RFC 3339)
    ---@field id? string at most 255 bytes; default: derived from this delivery, so that a retry makes the same id
    ---@field source? string default "/plugins/<this plugin>"; another one only if plugin.toml permits it: [permissions] sources

    --- Emits an event. [effect]
    --- It leaves only if this handler returns normally; a retry emits it once, with the same id. Never waits.
    --- Raises "bad_type" or "too_large", naming the argument, and when plugin.toml does not allow the type or the source. Types that begin with
    --- "moonbus." are Moonbus's own. What JSON cannot hold is named with its path in the data, and what to give instead.
    ---@param type string 1-255 bytes, dot-separated, no wildcards
    ---@param data? moonbus.json at most 256 KiB encoded
    ---@param options? moonbus.emit_options
    ---@return string id
    function bus.emit(type, data, options) end

    ---@class moonbus.retry
    ---@field attempts? integer before it becomes a dead letter; default 5
    ---@field backoff? moonbus.duration before the second attempt, doubling; default "1s"
    ---@field max? moonbus.duration upper bound of the backoff; default "60s"

    ---@class moonbus.subscribe_options
    ---@field name? string durable name; default: made from the pattern
    ---@field where? table conditions on the content, in the syntax of EventBridge event patterns; non-matching events never reach Lua
    ---@field key? string ordering key: "type", "subject", or a path in the data, e.g. "data.customer"; default partitionkey, else subject
    ---@field concurrency? integer how many of its deliveries may be under way at once; default: as many as fit
    ---@field retry? moonbus.retry
    ---@field timeout? moonbus.duration wall-clock limit of one delivery, waiting included; default "30s"; at most `wait` of plugin.toml, if it says that
    ---@field cpu? moonbus.duration CPU limit of one delivery; default: the plugin's (1 s); at most `cpu` of plugin.toml, if it says that
    ---@field batch? { count: integer, within: moonbus.duration } the handler gets an array of events, at most 4 MiB together
    ---@field debounce? moonbus.duration only the last event of a key, once it has been quiet for this long
    ---@field throttle? moonbus.duration at most one event of a key in this time; the others are counted and shed

    --- Subscribes a handler. A declaration: only while the plugin loads.
    --- The handler is a transaction: what it emits and stores is committed together with the acknowledgement of its event.
    --- `error(…)` in it: retried by policy. Its return value is its result and answers `bus.request`, a waiting HTTP client and the source.
    ---@param pattern string `*` one token, `>` one or more at the end
    ---@param options moonbus.subscribe_options
    ---@param handler fun(event: moonbus.event): any
    ---@overload fun(pattern: string, handler: fun(event: moonbus.event): any)
    function bus.subscribe(pattern, options, handler) end

    ---What becomes of ticks whose time passed while the service was down. "once" (default): one tick stands for all of them.
    ---"skip": none comes. "all": each comes, also those that pass while an earlier one runs; after 1,000 in a row the rest is left out, which
    ---is logged. A timer's `event.data.scheduled` says for when a tick was scheduled. A tick that has failed is never missed: its next attempt
    ---comes after a restart, too.
    ---@alias moonbus.missed "skip"|"once"|"all"

    ---@class moonbus.source_options
    ---@field name string
    ---@field every? moonbus.duration polls that often
    ---@field cron? string polls on that schedule
    ---@field tz? string IANA zone of `cron`, default UTC
    ---@field missed? moonbus.missed of `every` and `cron`
    ---@field poll? fun(cursor: any): any gets the cursor that it returned last; cursor and emits are committed together
    ---@field run? fun() runs for ever: emits are committed at each wait, which lasts until they have room; restarted with backoff when it ends
    ---@field result? fun(result: moonbus.result) hears how each handler of an emitted event ended; committed with the handler's acknowledgement

    --- How one handler of a source's event ended.
    ---@class moonbus.result
    ---@field event string id of the source's event
    ---@field type string its type
    ---@field subscription string whose handler it was
    ---@field status "done"|"rejected"|"dead"|"shed"
    ---@field result? any what the handler returned
    ---@field error? string why it was rejected or died, or why the result cannot be handed on
    ---@field attempts integer how many runs it took

    --- Declares a source. A declaration: only while the plugin loads.
    ---@param options moonbus.source_options
    function bus.source(options) end

    --- Calls a function on a fixed interval; the timer is in the journal. A declaration: only while the plugin loads.
    ---@param interval moonbus.duration
    ---@param options { name?: string, missed?: moonbus.missed }
    ---@param fn fun(event: moonbus.event)
    ---@overload fun(interval: moonbus.duration, fn: fun(event: moonbus.event))
    function bus.every(interval, options, fn) end

    --- Calls a function on a schedule: minute hour day month weekday. Daylight saving is right: a skipped time fires once
    --- after the gap, a doubled one once. A declaration: only while the plugin loads.
    ---@param schedule string e.g. "0 7 * * 1-5"
    ---@param options { name?: string, tz?: string, missed?: moonbus.missed }
    ---@param fn fun(event: moonbus.event)
    ---@overload fun(schedule: string, fn: fun(event: moonbus.event))
    function bus.cron(schedule, options, fn) end

    --- Emits an event now and waits for the first answer of its handlers. [call], waits.
    --- Raises when nobody is subscribed, when all handlers failed, or after `timeout` (default "30s").
    ---@param type string
    ---@param data? moonbus.json
    ---@param options? { timeout?: moonbus.duration, subject?: string, key?: string }
    ---@return any result
    function bus.request(type, data, options) end

    --- Ends this handler: the event becomes a dead letter at once, with this reason. [effect]
    ---@param reason string
    function bus.reject(reason) end

    --- Ends this handler: the event comes again later, without counting as a failed attempt. [effect]
    ---@param after moonbus.duration
    function bus.retry(after) end

    --- The plugin's own store.
    --- A handler reads its own staged writes. What it read is checked when it is committed: if another run has changed any of it by then,
    --- nothing of this run is committed and the handler runs again. So read, decide, write is atomic, and this is compare-and-set:
    ---     if kv.get("owner") == nil then kv.set("owner", me, { ttl = "30s" }) end
    --- Handlers that often write the same keys at once should have one ordering key: after 20 conflicts in a row a run counts as failed.
    --- All values together take at most `limits.state` of plugin.toml: a run that would store more fails, and one that only deletes does not.
    ---@class kv
    kv = {}
    --- [call], may wait for the journal once per key.
    ---@param key string 1-512 bytes
    ---@return any value nil when absent
    function kv.get(key) end
    --- [effect]
    ---@param key string
    ---@param value moonbus.json at most 256 KiB encoded
    ---@param options? { ttl?: moonbus.duration } absent again after `ttl`, counted from `time.now()`; a run that read it and is committed later runs again
    function kv.set(key, value, options) end
    --- Adds to an integer (0 when absent), which keeps its ttl, and returns the sum. [effect], may wait.
    ---@param key string
    ---@param n? integer default 1
    ---@return integer
    function kv.incr(key, n) end
    --- [effect]
    ---@param key string
    function kv.delete(key) end
    --- Entries whose key starts with `prefix`, in key order. [call], waits.
    --- What is committed, with this run's own writes on top. Each entry of the journal's that it saw is checked at the commit as if read with
    --- kv.get; that no entry was added since is not. A decision that depends on it needs a key that every writer touches, e.g. a count
    --- (kv.incr), read with kv.get before the scan.
    ---@param prefix string
    ---@param options? { limit?: integer } default 1,000
    ---@return { key: string, value: any }[]
    function kv.scan(prefix, options) end

    --- Log lines carry the plugin and the event. [call]
    ---@class log
    log = {}
    ---@param text string
    ---@param fields? table
    function log.debug(text, fields) end
    ---@param text string
    ---@param fields? table
    function log.info(text, fields) end
    ---@param text string
    ---@param fields? table
    function log.warn(text, fields) end
    ---@param text string
    ---@param fields? table
    function log.error(text, fields) end

    --- JSON, strict and exact: 64-bit integers, empty arrays, null, shortest floats. [call]
    ---@class json
    ---@field null lightuserdata null inside data; `nil` would make the field vanish
    json = {}
    --- Raises with the path of what JSON cannot hold: functions, cycles, NaN, mixed or sparse tables.
    ---@param value moonbus.json
    ---@return string
    function json.encode(value) end
    ---@param text string
    ---@return any
    function json.decode(text) end
    --- Marks a table as an array, so that it stays `[]` when it is empty.
    ---@param t? table
    ---@return table
    function json.array(t) end

    ---@class time
    time = {}
    --- Seconds since 1970, the same for the whole delivery and recorded with it. [call]
    ---@return number
    function time.now() end
    --- Suspends this handler. [call], waits.
    ---@param duration moonbus.duration
    function time.sleep(duration) end
    --- Seconds since 1970 from RFC 3339; raises on anything else. [call]
    ---@param text string
    ---@return number
    function time.parse(text) end
    --- RFC 3339 in UTC. [call]
    ---@param seconds number
    ---@return string
    function time.format(seconds) end

    --- The `[config]` table of plugin.toml, read-only.
    ---@type table
    config = {}

    --- Bytes in, text out: lower-case hex unless named otherwise. [call]
    ---@class crypto
    crypto = {}
    ---@param bytes string
    ---@return string hex
    function crypto.sha256(bytes) end
    ---@param bytes string
    ---@return string hex
    function crypto.sha512(bytes) end
    --- HMAC-SHA256.
    ---@param key string
    ---@param bytes string
    ---@return string hex
    function crypto.hmac(key, bytes) end
    ---@param bytes string
    ---@return string
    function crypto.base64_encode(bytes) end
    ---@param text string
    ---@return string
    function crypto.base64_decode(text) end
    ---@param bytes string
    ---@return string
    function crypto.hex(bytes) end
    --- A random UUID (version 4).
    ---@return string
    function crypto.uuid() end
    --- Compares in constant time.
    ---@param a string
    ---@param b string
    ---@return boolean
    function crypto.equal(a, b) end

    """#

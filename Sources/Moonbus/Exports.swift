// An embedder writes `import Moonbus` and has events, the bus and the plugin host. The modules stay apart inside, because the arrows
// between them are checked; outside they are one thing, and not products of their own, so re-exporting is the only way to reach them.
@_exported import MoonbusDispatch
@_exported import MoonbusEvents
@_exported import MoonbusJournal
@_exported import MoonbusPlugins

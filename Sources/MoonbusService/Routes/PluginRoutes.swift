import MoonbusEvents
import MoonbusPlugins
import NIOCore

extension Routes {
    /// `GET /plugins`, `GET /plugins/{name}`.
    func listPlugins(_ name: String?, _ exchange: Exchange) {
        let plugins = self.plugins
        later(exchange) { () throws(Problem) in
            let statuses = await plugins?.plugins() ?? []
            guard let name else {
                var body = ByteBuffer()
                body.writeArray(statuses) { $0.writeStatus($1) }
                return Answer(body: body)
            }
            guard let status = statuses.first(where: { $0.name == name }) else { throw noPlugin(name) }
            var body = ByteBuffer()
            body.writeStatus(status)
            return Answer(body: body)
        }
    }

    /// `POST /plugins/{name}/reload|enable|disable`; answers with how the plugin is then.
    func change(plugin name: String, _ verb: Route.PluginVerb, _ exchange: Exchange) {
        guard let plugins else { return exchange.answer(noPlugin(name)) }
        later(exchange) { () throws(Problem) in
            do throws(PluginError) {
                switch verb {
                case .reload: try await plugins.reload(name)
                case .enable: try await plugins.enable(name)
                case .disable: try await plugins.disable(name)
                }
            } catch {
                throw Problem(error)
            }
            guard let status = await plugins.plugins().first(where: { $0.name == name }) else { throw noPlugin(name) }
            var body = ByteBuffer()
            body.writeStatus(status)
            return Answer(body: body)
        }
    }
}

private func noPlugin(_ name: String) -> Problem {
    Problem(.notFound, "there is no plugin '\(name.prefix(100))'", remedy: "GET /plugins lists the plugins")
}

extension ByteBuffer {
    fileprivate mutating func writeStatus(_ status: PluginStatus) {
        var object = ObjectWriter()
        object.member("name", status.name)
        object.member("state", status.state.name)
        object.member("version", status.version)
        object.member("digest", String(status.digest, radix: 16))
        object.member("since", status.since?.description)
        object.member("lanes") { $0.writeArray(status.lanes) { $0.writeJSON($1) } }
        object.member("subscriptions", status.subscriptions)
        object.member("in_flight", status.inFlight)
        object.member("strikes", status.strikes)
        if let error = status.error { object.member("error") { $0.writePluginError(error) } }
        var bytes = object.finish()
        writeBuffer(&bytes)
    }

    private mutating func writePluginError(_ error: PluginError) {
        var object = ObjectWriter()
        object.member("code", error.code.description)
        object.member("message", error.message)
        object.member("file", error.file)
        object.member("line", error.line)
        object.member("column", error.column)
        object.member("excerpt", error.excerpt.map(excerptLines) ?? [])
        object.member("hint", error.hint)
        var bytes = object.finish()
        writeBuffer(&bytes)
    }
}

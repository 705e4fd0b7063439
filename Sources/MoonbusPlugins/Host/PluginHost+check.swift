import MoonbusDispatch
import MoonbusLane

/// What `moonbus check` says of one plugin.
package struct PluginCheck: Sendable {
    package var name: String
    /// What is wrong; nil: it can be loaded.
    package var error: PluginError?
    /// How many subscriptions, sources and timers it declares.
    package var declarationCount = 0
}

extension PluginHost {
    /// Loads every plugin of a folder, without running any: manifest, syntax of all files, what `main.lua` does while it loads, declarations,
    /// filters, schedules, permissions.
    ///
    /// The host must have been started; one without a folder is enough.
    ///
    /// - Parameter names: only these; nil: all.
    /// - Throws: ``PluginError`` `.unreadable` when there is no such folder.
    package func check(folder path: String, names: [String]? = nil) async throws(PluginError) -> [PluginCheck] {
        let folder = PluginFolder(path: path)
        let all = try folder.names()
        for name in names ?? [] where !all.contains(name) { throw Self.notFound(name) }
        var checks: [PluginCheck] = []
        for name in names ?? all {
            var finding = folder.read(name)
            // Someone is writing: once more is enough for an editor, and whoever writes all the time gets what is there.
            if finding == nil { finding = folder.read(name) }
            switch finding {
            case .plugin(let source)?: checks.append(await check(source))
            case .refused(let error)?: checks.append(PluginCheck(name: name, error: error))
            case nil:
                checks.append(
                    PluginCheck(name: name, error: PluginError(.unreadable, plugin: name, message: "its files change all the time")))
            case .absent?: break
            }
        }
        return checks
    }

    private func check(_ source: PluginSource) async -> PluginCheck {
        await withCheckedContinuation { continuation in
            let isOpen = bus.owner.post {
                guard self.phase == .running else {
                    return continuation.resume(returning: PluginCheck(name: source.name, error: Self.stoppedError))
                }
                self.check(source) { continuation.resume(returning: $0) }
            }
            if !isOpen { continuation.resume(returning: PluginCheck(name: source.name, error: Self.stoppedError)) }
        }
    }

    private func check(_ source: PluginSource, _ checked: @escaping (PluginCheck) -> Void) {
        let plugin = Plugin(name: source.name)  // a passing one: the plugin that serves under this name, if any, is not touched
        do throws(PluginError) {
            var manifest = Manifest()
            if let text = source.manifest {
                manifest = try Manifest.parse(text, plugin: source.name, file: source.shownPath(of: "plugin.toml"))
            }
            manifest.contexts = 1
            let version = PluginVersion(plugin: plugin, source: source, manifest: manifest)
            let load = PluginLoad(
                request: LoadRequest(source: source, cause: .asked, began: monotonicNanoseconds()), version: version, isCheck: true
            ) {
                [unowned self] load, result in
                plugin.loading = nil
                if let deadline = load.deadline { bus.owner.cancel(deadline) }
                release(load.version)
                endEmptyLanes()
                switch result {
                case .success(let specs): checked(PluginCheck(name: source.name, declarationCount: specs.count))
                case .failure(let error): checked(PluginCheck(name: source.name, error: error))
                }
            }
            plugin.loading = load  // keeps it alive until it has ended
            do throws(PluginError) { try send(load) } catch { load.fail(error) }
        } catch {
            checked(PluginCheck(name: source.name, error: error))
        }
    }
}

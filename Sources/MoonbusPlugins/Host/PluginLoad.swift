import MoonbusDispatch
import MoonbusLane

/// One version on its way to serving, or to being refused: its contexts are loading on their lanes. State of the owner thread.
final class PluginLoad {
    let request: LoadRequest
    let version: PluginVersion
    /// Only loaded to see whether it can be: nothing serves afterwards.
    let isCheck: Bool
    /// Contexts that have not answered.
    var unanswered: Int
    var deadline: OwnerTimer?
    /// Called once, with the compiled subscriptions or the first error.
    let finish: (PluginLoad, Result<[SubscriptionSpec], PluginError>) -> Void
    private(set) var isOver = false

    init(
        request: LoadRequest, version: PluginVersion, isCheck: Bool,
        finish: @escaping (PluginLoad, Result<[SubscriptionSpec], PluginError>) -> Void
    ) {
        self.request = request
        self.version = version
        self.isCheck = isCheck
        self.finish = finish
        unanswered = version.manifest.contexts
    }

    /// Takes a context's answer. When it was the last one, the declarations are compiled.
    func loaded(_ declarations: Declarations) {
        guard !isOver else { return }
        let isFirst = unanswered == version.manifest.contexts
        if isFirst { version.declare(declarations) }
        guard declarations == version.declarations else {
            return fail(
                PluginError(
                    .badDeclaration, plugin: version.plugin.name, file: version.source.shownPath(of: "main.lua"),
                    message: "the plugin declares something else each time it loads",
                    hint:
                        "contexts = \(version.manifest.contexts) needs declarations that don't depend on chance: use fixed names and ipairs"
                ))
        }
        unanswered -= 1
        guard unanswered == 0 else { return }
        isOver = true
        let specs = Result { () throws(PluginError) in try SubscriptionCompiler(version).specs() }
        version.forgetDeclarations()
        finish(self, specs)
    }

    /// Makes sure that `finish` is not called any more.
    func abandon() { isOver = true }

    func fail(_ error: PluginError) {
        guard !isOver else { return }
        isOver = true
        finish(self, .failure(error))
    }
}

import CLuaShim
import MoonbusEvents

/// Contexts come and go: load, unload, and made again after a hard kill.
extension LaneWorker {
    func load(_ frame: LoadFrame) {
        output.sealOutcomes()
        // The host never loads a number twice without an unload between; if it does, the newer one counts.
        if contexts[frame.context] != nil { unload(frame.context) }
        do throws(FrameError) {
            build(LaneContext(try Blueprint(frame), worker: self))
        } catch {
            refuse(frame.context, LoadFailure(error.message, kind: "error"))
        }
    }

    private func build(_ context: LaneContext) {
        do throws(LoadFailure) {
            try context.build()
            contexts[context.identifier] = context
            context.declared.withUnsafeBytes { output.frames.appendLoaded(context: context.identifier, isOK: true, json: $0) }
            if context.blueprint.settings.isCheck { remove(context) }
        } catch {
            refuse(context.identifier, error)
        }
    }

    private func refuse(_ identifier: UInt32, _ failure: LoadFailure) {
        failure.json.withUnsafeBytes { output.frames.appendLoaded(context: identifier, isOK: false, json: $0) }
    }

    func unload(_ identifier: UInt32) {
        guard let context = contexts[identifier] else { return }
        context.isLeaving = true
        for delivery in context.waiting.keys.sorted() { cancel(delivery, in: identifier, reason: "its plugin was unloaded") }
        remove(context)
    }

    private func remove(_ context: LaneContext) {
        contexts[context.identifier] = nil
        context.destroy()
    }

    /// Makes a context again whose state a hard kill took.
    ///
    /// The delivery that was killed has its outcome; those that waited are reported as lost. Deliveries that follow run
    /// in the new state at once, provided that it declares what the old one did: they carry references to its functions.
    func rebuild(_ context: LaneContext) {
        output.sealOutcomes()
        let lost = context.waiting.keys.sorted()
        for state in context.waiting.values { calls[state.call] = nil }
        if !lost.isEmpty { output.frames.appendLost(context: context.identifier, deliveries: lost) }
        guard !context.isLeaving else { return context.destroy() }
        let before = context.declared
        context.destroy()
        do throws(LoadFailure) {
            try context.build()
            guard context.declared == before else {
                throw LoadFailure("loaded again after a hard kill, the plugin declared something else than before", kind: "error")
            }
        } catch {
            remove(context)
            refuse(context.identifier, error)
        }
    }
}

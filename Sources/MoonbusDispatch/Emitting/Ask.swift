internal import MoonbusEvents
internal import MoonbusJournal

/// When someone who waits for results has heard enough.
package enum AskRule: Sendable {
    /// When every subscription that matched has ended.
    case everyResult
    /// When a handler has returned something, or every one has ended without.
    case firstResult
}

/// Someone who waits for the results of a batch. Confined to the owner thread.
final class Ask {
    private let rule: AskRule
    private var receipts: [Receipt]
    /// Results as they come, with the order of their subscriptions.
    private var results: [(index: Int, order: Int, result: HandlerResult)] = []
    private var remaining = 0
    private var answer: (([Receipt]) -> Void)?

    init(receipts: [Receipt], rule: AskRule = .everyResult, answer: @escaping ([Receipt]) -> Void) {
        self.receipts = receipts
        self.rule = rule
        self.answer = answer
    }

    /// True when nobody waits any more.
    var isOver: Bool { answer == nil }

    /// Notes that one more subscription is owed the event with this index.
    func expect(_ index: Int) {
        receipts[index].pending += 1
        remaining += 1
    }

    /// Notes subscriptions that are owed the event and will not get to it: they stay pending, and nobody waits for them.
    func owe(_ index: Int, _ count: Int) {
        receipts[index].pending += count
    }

    /// Notes that nobody need wait for a subscription that was expected.
    ///
    /// - Parameter isOwed: it will get to the event, later: it stays pending. False: the event was never its own.
    /// - Returns: true if it was the last one that was waited for, and the answer was given.
    func forgo(_ index: Int, isOwed: Bool) -> Bool {
        guard answer != nil else { return false }
        if !isOwed { receipts[index].pending -= 1 }
        remaining -= 1
        return finishIfComplete()
    }

    /// Takes the result of one subscription.
    ///
    /// - Returns: true if it was the last one that was waited for, and the answer was given.
    func resolve(_ index: Int, order: Int, _ result: HandlerResult) -> Bool {
        guard answer != nil else { return false }
        results.append((index, order, result))
        receipts[index].pending -= 1
        remaining -= 1
        if rule == .firstResult, result.status == .done, result.result != nil {
            finish()
            return true
        }
        return finishIfComplete()
    }

    /// Answers if nothing is pending.
    func finishIfComplete() -> Bool {
        guard remaining == 0 else { return false }
        finish()
        return true
    }

    /// Answers with what there is.
    func finish() {
        guard let answer else { return }
        self.answer = nil
        if results.count > 1 { results.sort { ($0.index, $0.order) < ($1.index, $1.order) } }
        for (index, _, result) in results { receipts[index].results.append(result) }
        // An answered ask may lie in the heap of deadlines for a while: it keeps nothing.
        let answered = receipts
        receipts = []
        results = []
        answer(answered)
    }
}

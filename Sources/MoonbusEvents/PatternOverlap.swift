extension EventPattern {
    /// Whether there is a type that matches both this pattern and `other`: `a.*.c` and `a.b.>` have `a.b.c`; `a.*` and `a.b.c` have none.
    public func overlaps(_ other: EventPattern) -> Bool {
        let ours = text.utf8.split(separator: UInt8(ascii: "."))
        let theirs = other.text.utf8.split(separator: UInt8(ascii: "."))
        for index in 0..<max(ours.count, theirs.count) {
            // One is at its end and the other is not: their `>` would have been met before.
            guard index < ours.count, index < theirs.count else { return false }
            let (our, their) = (ours[index], theirs[index])
            if our.elementsEqual(">".utf8) || their.elementsEqual(">".utf8) { return true }
            guard our.elementsEqual("*".utf8) || their.elementsEqual("*".utf8) || our.elementsEqual(their) else { return false }
        }
        return true
    }
}

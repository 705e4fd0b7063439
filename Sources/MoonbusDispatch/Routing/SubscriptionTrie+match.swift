extension SubscriptionTrie {
    /// Appends the values of all subscriptions whose pattern matches a type.
    ///
    /// Allocates nothing once `values` and the trie's own buffers are large enough.
    ///
    /// - Parameters:
    ///   - type: the bytes of a valid ``EventType``.
    ///   - values: gets the values at its end, in no particular order; an equal pattern appears as often as it was inserted.
    package mutating func match(_ type: UnsafeRawBufferPointer, into values: inout [Value]) {
        guard cache.isOn, type.count <= CacheKey.sizeMax else {
            walk(type, into: &values)
            return
        }
        let key = CacheKey(type)
        if cache.append(key, to: &values) { return }
        let first = values.count
        walk(type, into: &values)
        values.withUnsafeBufferPointer { cache.insert(key, UnsafeBufferPointer(rebasing: $0[first...])) }
    }

    /// Goes down token by token with all nodes that the tokens so far lead to.
    private mutating func walk(_ type: UnsafeRawBufferPointer, into values: inout [Value]) {
        frontier.start(at: 1)
        var start = 0
        while true {
            let end = TypeToken.end(in: type, from: start)
            let token = TypeToken(type, start, end)
            // All slots are read before any is looked into: the cache misses overlap instead of queueing up.
            for index in 0..<frontier.count {
                let hash = slots.hash(token, under: frontier[index])
                frontier.setProbe(index, hash: hash, slot: slots[hash & slots.mask])
            }
            for index in 0..<frontier.count {
                let parent = frontier[index]
                let node = nodes[parent]
                appendList(node.tail, to: &values)
                if node.star != 0 { frontier.push(node.star) }
                follow(frontier.probe(index), parent, token, type, start, end, &values)
            }
            if !frontier.advance() { return }
            if end == type.count { break }
            start = end + 1
        }
        for index in 0..<frontier.count {
            appendList(nodes[frontier[index]].exact, to: &values)
        }
    }

    /// Goes to the child by a token: a node joins the frontier, a leaf's value is appended if the rest fits.
    @inline(__always)
    private mutating func follow(
        _ probe: Frontier.Probe, _ parent: UInt32, _ token: TypeToken, _ type: UnsafeRawBufferPointer, _ start: Int, _ end: Int,
        _ values: inout [Value]
    ) {
        let tag = UInt32(truncatingIfNeeded: probe.hash >> 32)
        var place = probe.hash & slots.mask
        var slot = probe.slot
        while !slot.child.isNone {
            if slot.tag == tag {
                let index = slot.child.index
                if slot.child.isLeaf {
                    let leaf = leaves.pointer(to: index)
                    if leaf.pointee.parent == parent, TrieLeaf.matches(leaf, type, from: start) {
                        values.append(leaf.pointee.value)
                        return
                    }
                } else if isNode(index, parent, token, type, start, end) {
                    frontier.push(index)
                    return
                }
            }
            place = (place + 1) & slots.mask
            slot = slots[place]
        }
    }

    @inline(__always)
    private func isNode(
        _ index: UInt32, _ parent: UInt32, _ token: TypeToken, _ text: UnsafeRawBufferPointer, _ start: Int, _ end: Int
    ) -> Bool {
        nodes[index].parent == parent && nodes[index].token == token
            && (!token.isLong || longTokens.equal(index, UnsafeRawBufferPointer(rebasing: text[start..<end])))
    }

    @inline(__always)
    private func appendList(_ head: UInt32, to values: inout [Value]) {
        var cell = head
        while cell != 0 {
            values.append(cells[cell].value)
            cell = cells[cell].next
        }
    }

    /// The child of a node by the token from `start` up to `end` of a pattern.
    func child(of parent: UInt32, by token: TypeToken, _ text: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> TrieChild {
        let hash = slots.hash(token, under: parent)
        var place = hash & slots.mask
        while !slots[place].child.isNone {
            let child = slots[place].child
            if child.isLeaf {
                let leaf = leaves[child.index]
                if leaf.parent == parent, leaf.hasToken(UnsafeRawBufferPointer(rebasing: text[start..<end])) { return child }
            } else if isNode(child.index, parent, token, text, start, end) {
                return child
            }
            place = (place + 1) & slots.mask
        }
        return .none
    }
}

package import MoonbusEvents

extension SubscriptionTrie {
    /// Adds a subscription.
    ///
    /// - Returns: what ``remove(_:)`` takes; the same pattern may be inserted any number of times.
    @discardableResult
    package mutating func insert(_ pattern: EventPattern, _ value: Value) -> Token {
        let home = homes.take(.none)
        pattern.text.withUTF8Bytes { insert($0, under: 1, home, value) }
        count += 1
        cache.invalidate(subscriptions: count)
        return Token(home: home)
    }

    /// Takes a subscription out.
    ///
    /// - Parameter token: what ``insert(_:_:)`` returned; using it twice is a programming error.
    package mutating func remove(_ token: Token) {
        switch homes[token.home] {
        case .none: preconditionFailure("a subscription is removed once")
        case .leaf(let index): removeLeaf(index)
        case .cell(let index): removeCell(index)
        }
        homes[token.home] = .none
        homes.give(back: token.home)
        count -= 1
        cache.invalidate(subscriptions: count)
    }

    /// Adds the rest of a pattern below a node.
    private mutating func insert(_ rest: UnsafeRawBufferPointer, under first: UInt32, _ home: UInt32, _ value: Value) {
        var node = first
        var start = 0
        while start < rest.count {
            let end = TypeToken.end(in: rest, from: start)
            if end == start + 1, rest[start] == UInt8(ascii: ">") {
                addCell(node, isTail: true, home, value)
                return
            } else if end == start + 1, rest[start] == UInt8(ascii: "*") {
                if nodes[node].star == 0 {
                    let star = addNode(TrieNode(token: TypeToken(star: ()), parent: node))
                    nodes[node].star = star
                }
                node = nodes[node].star
            } else {
                let token = TypeToken(rest, start, end)
                let child = child(of: node, by: token, rest, start, end)
                if child.isNone, rest.count - start <= TrieLeaf<Value>.sizeMax {
                    addLeaf(UnsafeRawBufferPointer(rebasing: rest[start...]), under: node, home, value)
                    return
                } else if child.isNone {
                    node = addChild(token, under: node, UnsafeRawBufferPointer(rebasing: rest[start..<end]))
                } else if child.isLeaf {
                    node = makeNode(ofLeaf: child.index, token, UnsafeRawBufferPointer(rebasing: rest[start..<end]))
                } else {
                    node = child.index
                }
            }
            start = end + 1
        }
        addCell(node, isTail: false, home, value)
    }

    private mutating func addLeaf(_ rest: UnsafeRawBufferPointer, under parent: UInt32, _ home: UInt32, _ value: Value) {
        let leaf = leaves.take(TrieLeaf(rest, parent: parent, home: home, value: value))
        homes[home] = .leaf(leaf)
        childCounts[Int(parent)] += 1
        slots.add(.leaf(leaf), nodes, leaves)
    }

    /// Puts a node in the place of a leaf, because something else is to share its token.
    private mutating func makeNode(ofLeaf index: UInt32, _ token: TypeToken, _ text: UnsafeRawBufferPointer) -> UInt32 {
        let leaf = leaves[index]
        forgetLeaf(index)
        let node = addChild(token, under: leaf.parent, text)
        leaf.withRest { insert($0, under: node, leaf.home, leaf.value) }
        return node
    }

    private mutating func forgetLeaf(_ index: UInt32) {
        slots.remove(.leaf(index), nodes, leaves)
        childCounts[Int(leaves[index].parent)] -= 1
        leaves.give(back: index)
    }

    private mutating func removeLeaf(_ index: UInt32) {
        let parent = leaves[index].parent
        forgetLeaf(index)
        prune(from: parent)
    }

    private mutating func addCell(_ node: UInt32, isTail: Bool, _ home: UInt32, _ value: Value) {
        let head = isTail ? nodes[node].tail : nodes[node].exact
        let cell = cells.take(Cell(value: value, home: home, next: head, previous: 0, node: node, isTail: isTail))
        if head != 0 { cells[head].previous = cell }
        setHead(cell, node: node, isTail: isTail)
        homes[home] = .cell(cell)
    }

    private mutating func removeCell(_ index: UInt32) {
        let cell = cells[index]
        if cell.next != 0 { cells[cell.next].previous = cell.previous }
        if cell.previous != 0 {
            cells[cell.previous].next = cell.next
        } else {
            setHead(cell.next, node: cell.node, isTail: cell.isTail)
        }
        cells.give(back: index)
        prune(from: cell.node)
    }

    private mutating func setHead(_ cell: UInt32, node: UInt32, isTail: Bool) {
        if isTail { nodes[node].tail = cell } else { nodes[node].exact = cell }
    }

    private mutating func addChild(_ token: TypeToken, under parent: UInt32, _ text: UnsafeRawBufferPointer) -> UInt32 {
        let child = addNode(TrieNode(token: token, parent: parent))
        childCounts[Int(parent)] += 1
        if token.isLong { longTokens.add(child, text) }
        slots.add(.node(child), nodes, leaves)
        return child
    }

    private mutating func addNode(_ node: TrieNode) -> UInt32 {
        let index = nodes.take(node)
        while childCounts.count <= index { childCounts.append(0) }
        return index
    }

    /// Takes out nodes, from this one up, that lead to no subscription any more.
    private mutating func prune(from start: UInt32) {
        var index = start
        while index != 1 {
            let node = nodes[index]
            guard node.exact == 0, node.tail == 0, node.star == 0, childCounts[Int(index)] == 0 else { return }
            if nodes[node.parent].star == index {
                nodes[node.parent].star = 0
            } else {
                childCounts[Int(node.parent)] -= 1
                slots.remove(.node(index), nodes, leaves)
                if node.token.isLong { longTokens.remove(index) }
            }
            nodes.give(back: index)
            index = node.parent
        }
    }
}

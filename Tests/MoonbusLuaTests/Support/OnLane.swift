import Glibc
import MoonbusLua

/// Runs `body` on a thread of its own that is a lane, with the stack that lanes have, and waits for it.
func onLane<Result>(_ body: (LuaLane) throws -> Result) throws -> Result {
    try onThread {
        let lane = try unwrap(LuaLane(), "no lane")
        return try body(lane)
    }
}

/// Runs `body` on a thread of its own and waits for it.
func onThread<Result>(_ body: () throws -> Result) throws -> Result {
    try withoutActuallyEscaping(body) { body in
        let work = Work(body)
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, 16 << 20)
        var thread = pthread_t()
        let pointer = Unmanaged.passUnretained(work as AnyWork).toOpaque()
        let status = pthread_create(
            &thread, &attributes,
            {
                Unmanaged<AnyWork>.fromOpaque($0!).takeUnretainedValue().run(); return nil
            }, pointer)
        precondition(status == 0, "no thread")
        pthread_join(thread, nil)
        return try unwrap(work.result, "the thread ended early").get()
    }
}

struct Missing: Error { let what: String }

func unwrap<Value>(_ value: Value?, _ what: String) throws -> Value {
    guard let value else { throw Missing(what: what) }
    return value
}

private class AnyWork { func run() {} }

private final class Work<Value>: AnyWork {
    let body: () throws -> Value
    var result: Result<Value, any Error>?
    init(_ body: @escaping () throws -> Value) { self.body = body }
    override func run() { result = Result { try body() } }
}

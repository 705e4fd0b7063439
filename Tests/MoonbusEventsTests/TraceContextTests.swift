import MoonbusEvents
import Testing

@Suite struct TraceContextTests {
    @Test func `a traceparent is read and written the same`() throws {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        let context = try #require(TraceContext(text))
        #expect(context.traceHigh == 0x0AF7_6519_16CD_43DD && context.traceLow == 0x8448_EB21_1C80_319C)
        #expect(context.span == 0xB7AD_6B71_6920_3331 && context.flags == 1)
        #expect(context.description == text)
    }

    @Test(arguments: [
        "", "00", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x", "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ])
    func `anything else is refused`(text: String) {
        #expect(TraceContext(text) == nil)
    }

    @Test func `a child stays in its trace and has a span of its own`() {
        let root = TraceContext()
        let child = root.child()
        #expect(child.traceHigh == root.traceHigh && child.traceLow == root.traceLow && child.flags == root.flags)
        #expect(child.span != root.span)
        #expect(TraceContext(child.description) == child)
    }
}

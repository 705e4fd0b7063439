import ArgumentParser
import Dispatch
import Glibc
import MoonbusLane

/// The entry of the `moonbus` executable.
///
/// `moonbus lane` is what the service starts for each lane: it leaves before anything else is touched, because it closes every
/// door behind itself and must have no other thread.
@main
enum Main {
    static func main() {
        // Past a limit of the file's size a write shall fail like any other, and not end the program without a word.
        signal(SIGXFSZ, SIG_IGN)
        if CommandLine.arguments.count > 1, CommandLine.arguments[1] == "lane" { lane(CommandLine.arguments.dropFirst(2)) }
        refuseForeignArguments()
        Terminal.watchBuffers()
        Task {
            await MoonbusCommand.main()
            MoonbusCommand.exit()
        }
        dispatchMain()
    }

    /// Swift puts U+FFFD in the place of bytes that are not UTF-8: an event would be recorded with something else than was said.
    private static func refuseForeignArguments() {
        for index in 1..<max(1, Int(CommandLine.argc)) {
            guard let argument = CommandLine.unsafeArgv[index], String(validatingCString: argument) == nil else { continue }
            Terminal.standardError.print("moonbus: argument \(index) is not UTF-8: '\(printable(String(cString: argument)))'")
            exit(CommandError.Code.usage.rawValue)
        }
    }

    /// `moonbus lane --probe open` closes the sandbox and then tries what it forbids: it must die by SIGSYS (``LaneProbe``).
    private static func lane(_ arguments: ArraySlice<String>) -> Never {
        guard arguments.first == "--probe" else { LaneProcess.main() }
        if arguments.count == 2, let probe = arguments.last.flatMap(LaneProbe.init) { LaneProcess.main(probe: probe) }
        let names = LaneProbe.allCases.map(\.rawValue).joined(separator: ", ")
        Terminal.standardError.print("moonbus lane: --probe is one of \(names)")
        exit(CommandError.Code.usage.rawValue)
    }
}

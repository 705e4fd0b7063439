import ArgumentParser
import Dispatch
import MoonbusLane

/// The entry of the `moonbus` executable.
///
/// `moonbus lane` is what the service starts for each lane: it leaves before anything else is touched, because it closes every
/// door behind itself and must have no other thread.
@main
enum Main {
    static func main() {
        if CommandLine.arguments.count > 1, CommandLine.arguments[1] == "lane" { LaneProcess.main() }
        Task {
            await MoonbusCommand.main()
            MoonbusCommand.exit()
        }
        dispatchMain()
    }
}

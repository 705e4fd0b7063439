import Glibc

/// How much processor time the host and its lanes have used. A figure that left out the other process would be half a figure.
struct CPUTime {
    /// This process, all threads, in seconds.
    let host: Double
    /// The lane processes that run now, in seconds.
    let lanes: Double

    var total: Double { host + lanes }

    /// - Parameter lanePIDs: as ``lanePIDs()`` found them.
    init(lanePIDs: [pid_t]) {
        host = Self.seconds(CLOCK_PROCESS_CPUTIME_ID)
        lanes = lanePIDs.reduce(0) { sum, pid in
            var clock = clockid_t()
            return clock_getcpuclockid(pid, &clock) == 0 ? sum + Self.seconds(clock) : sum
        }
    }

    private static func seconds(_ clock: clockid_t) -> Double {
        var time = timespec()
        clock_gettime(clock, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }

    /// The processes that this one started and that run.
    static func lanePIDs() -> [pid_t] { children(of: getpid()) }

    /// The processes that another one started and that run.
    static func children(of parent: pid_t) -> [pid_t] {
        guard let processes = opendir("/proc") else { return [] }
        defer { closedir(processes) }
        var found: [pid_t] = []
        while let entry = readdir(processes) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            // /proc/PID/stat: pid (name) state parent …; the name may hold anything, so the last parenthesis counts.
            guard let pid = pid_t(name), let stat = try? ByteReader(path: "/proc/\(name)/stat").rest(limit: 4_096) else { continue }
            let text = String(decoding: stat, as: UTF8.self)
            let rest = text[(text.lastIndex(of: ")") ?? text.startIndex)...].split(separator: " ")
            if rest.count > 2, pid_t(rest[2]) == parent { found.append(pid) }
        }
        return found
    }

    /// Resident memory of processes, in bytes.
    static func residentBytes(of pids: [pid_t]) -> Int {
        pids.reduce(0) { sum, pid in
            let bytes = (try? ByteReader(path: "/proc/\(pid)/statm").rest(limit: 4_096)) ?? []
            let fields = String(decoding: bytes, as: UTF8.self).split(separator: " ")
            return sum + (fields.count > 1 ? (Int(fields[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) : 0)
        }
    }
}

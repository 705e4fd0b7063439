import MoonbusJournal
import MoonbusSQLite

/// The journal of a service, open. Only the command chooses one: everything below takes whatever keeps the promise of `Journal`.
struct OpenJournal {
    let journal: any Journal
    private let file: SQLiteJournal?

    /// Opens what the settings name; blocks until it can be used.
    ///
    /// - Parameter acceptsLoss: go on although something that had been committed is gone.
    /// - Throws: ``CommandError`` as ``CommandError/init(opening:)`` says.
    init(_ settings: Settings, acceptsLoss: Bool) throws {
        guard case .folder(let folder) = settings.journalPlace else {
            (journal, file) = (InMemoryJournal(), nil)
            return
        }
        var options = SQLiteJournal.Options()
        options.retention.age = settings.retentionAge
        options.retention.size = settings.retentionBytes
        options.acceptsLoss = acceptsLoss
        do throws(JournalError) {
            let opened = try SQLiteJournal(folder: folder, options: options)
            (journal, file) = (opened, opened)
        } catch {
            throw CommandError(opening: error)
        }
    }

    /// Commits what was asked for and closes the file; waits for that.
    func close() { file?.close() }
}

extension CommandError {
    /// Why a journal could not be opened: 65 when there is none, 75 when another process has it, 74 when it is damaged, 73 when it can't be made, read
    /// or written, 78 when a newer Moonbus has written it.
    init(opening error: JournalError) {
        let code: Code =
            switch error.code {
            case .notFound: .badData
            case .inUse: .tryLater
            case .damaged: .ioError
            case .unavailable, .full: .cannotCreate
            case .incompatible: .badSettings
            default: .internal
            }
        // The journal names its own option; here it has the name of a flag.
        self.init(code, error.message.replacing("(acceptsLoss)", with: "(moonbus run --accept-loss)"))
    }
}

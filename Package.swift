// swift-tools-version: 6.2
import PackageDescription

// Imports point down only (docs/ARCHITECTURE.md, "Floors"). `scripts/check` builds with
// `--explicit-target-dependency-import-check error`, so an arrow that is not drawn here does not build.

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("ExistentialAny"),
]

let package = Package(
    name: "moonbus",
    products: [
        .executable(name: "moonbus", targets: ["MoonbusCommand"]),
        .library(name: "Moonbus", targets: ["Moonbus"]),
        .library(name: "MoonbusTesting", targets: ["MoonbusTesting"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
    ],
    targets: [
        // Floor 0: C
        .systemLibrary(name: "CLinux"),
        .systemLibrary(name: "CLua", providers: [.apt(["liblua5.4-dev"])]),
        .systemLibrary(name: "CSeccomp", pkgConfig: "libseccomp", providers: [.apt(["libseccomp-dev"])]),
        .target(name: "CLuaShim", dependencies: ["CLua"], linkerSettings: [.linkedLibrary(":liblua5.4.a"), .linkedLibrary("m")]),

        // Floor 1: values, and Lua as Swift values
        .target(name: "MoonbusEvents", swiftSettings: strict),
        .target(name: "MoonbusLua", dependencies: ["CLuaShim"], swiftSettings: strict),

        // Floor 2: the journal's promise; the worker's side
        .target(name: "MoonbusJournal", dependencies: ["MoonbusEvents"], swiftSettings: strict),
        .target(
            name: "MoonbusLane",
            dependencies: [
                "MoonbusEvents", "MoonbusLua", "CLuaShim", "CSeccomp",
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: strict),

        // Floor 3: emit → settled
        .target(
            name: "MoonbusDispatch",
            dependencies: [
                "CLinux", "MoonbusEvents", "MoonbusJournal",
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "HeapModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),
        .target(name: "MoonbusTesting", dependencies: ["MoonbusEvents", "MoonbusJournal"], swiftSettings: strict),
        .target(
            name: "MoonbusSQLite",
            dependencies: [
                "MoonbusEvents", "MoonbusJournal",
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
            ],
            swiftSettings: strict),

        // Floor 4: plugins, from the host's side
        .target(
            name: "MoonbusPlugins",
            dependencies: [
                "MoonbusEvents", "MoonbusJournal", "MoonbusDispatch", "MoonbusLane",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "TOMLKit", package: "TOMLKit"),
            ],
            swiftSettings: strict),

        // Floor 5: HTTP, and the library that an embedder imports
        .target(
            name: "MoonbusService",
            dependencies: [
                "MoonbusEvents", "MoonbusJournal", "MoonbusDispatch", "MoonbusPlugins",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            swiftSettings: strict),
        .target(
            name: "Moonbus",
            dependencies: [
                "MoonbusEvents", "MoonbusJournal", "MoonbusDispatch", "MoonbusPlugins", "MoonbusLane",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict),

        // Floor 6: the command
        .executableTarget(
            name: "MoonbusCommand",
            dependencies: [
                "Moonbus", "MoonbusEvents", "MoonbusJournal", "MoonbusDispatch", "MoonbusLane", "MoonbusLua", "MoonbusPlugins",
                "MoonbusService", "MoonbusSQLite", "CLuaShim",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "TOMLKit", package: "TOMLKit"),
            ],
            swiftSettings: strict),

        // Tests mirror sources
        .testTarget(name: "MoonbusEventsTests", dependencies: ["MoonbusEvents"], swiftSettings: strict),
        .testTarget(name: "MoonbusLuaTests", dependencies: ["MoonbusLua", "CLuaShim"], swiftSettings: strict),
        .testTarget(
            name: "MoonbusJournalTests", dependencies: ["MoonbusEvents", "MoonbusJournal", "MoonbusTesting"], swiftSettings: strict),
        .testTarget(
            name: "MoonbusSQLiteTests",
            dependencies: [
                "MoonbusEvents", "MoonbusJournal", "MoonbusSQLite", "MoonbusTesting",
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "MoonbusDispatchTests",
            dependencies: [
                "MoonbusEvents", "MoonbusJournal", "MoonbusDispatch", "MoonbusTesting",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "MoonbusLaneTests", dependencies: ["MoonbusEvents", "MoonbusLua", "MoonbusLane", "CLuaShim"], swiftSettings: strict),
        .testTarget(
            name: "MoonbusPluginsTests",
            dependencies: [
                "MoonbusEvents", "MoonbusJournal", "MoonbusDispatch", "MoonbusLane", "MoonbusPlugins", "MoonbusTesting",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "MoonbusServiceTests",
            dependencies: [
                "MoonbusEvents", "MoonbusJournal", "MoonbusDispatch", "MoonbusPlugins", "MoonbusService",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "MoonbusTests",
            dependencies: [
                "Moonbus", "MoonbusEvents", "MoonbusDispatch", "MoonbusJournal", "MoonbusPlugins",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "MoonbusCommandTests",
            dependencies: [
                "MoonbusCommand", "MoonbusEvents", "MoonbusLane",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            swiftSettings: strict),
    ]
)

// scripts/sanitize builds nothing but what calls Lua.
if Context.environment["MOONBUS_PARTS"] == "lua" {
    let others: Set = [
        "MoonbusCommand", "MoonbusService", "MoonbusSQLite", "MoonbusCommandTests", "MoonbusServiceTests", "MoonbusSQLiteTests",
        "MoonbusDispatchTests", "MoonbusEventsTests", "MoonbusJournalTests",
    ]
    package.targets.removeAll { others.contains($0.name) }
    package.products.removeAll { $0.name == "moonbus" }
}

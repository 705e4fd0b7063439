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
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
    ],
    targets: [
        // Floor 0: C
        .systemLibrary(name: "CLinux"),
        .systemLibrary(name: "CLua", pkgConfig: "lua5.4", providers: [.apt(["liblua5.4-dev"])]),
        .systemLibrary(name: "CSeccomp", pkgConfig: "libseccomp", providers: [.apt(["libseccomp-dev"])]),
        .target(name: "CLuaShim", dependencies: ["CLua"]),

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
        // Floor 4: plugins, from the host's side
        // Floor 5: HTTP, and the library that an embedder imports
        // Floor 6: the command
        // Tests mirror sources
        .testTarget(name: "MoonbusLuaTests", dependencies: ["MoonbusLua", "CLuaShim"], swiftSettings: strict),
        .testTarget(name: "MoonbusLaneTests", dependencies: ["MoonbusEvents", "MoonbusLua", "MoonbusLane", "CLuaShim"], swiftSettings: strict),
    ]
)

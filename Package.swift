// swift-tools-version: 6.1
import PackageDescription

let package = Package(
  name: "Recurrent",
  platforms: [.macOS(.v13), .iOS(.v16)],
  products: [
    // What a program needs at run time; what its tests need; what draws.
    .library(name: "Recurrent", targets: ["Recurrent"]),
    .library(name: "Parity", targets: ["Parity"]),
    .library(name: "Reports", targets: ["Reports"]),
    .executable(name: "rnn-convert", targets: ["rnn-convert"]),
    .executable(name: "rnn-inspect", targets: ["rnn-inspect"]),
    .executable(name: "rnn-train", targets: ["rnn-train"]),
    .executable(name: "rnn-verify", targets: ["rnn-verify"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0")
  ],
  targets: [
    // C: the kernels, and what the system and two libraries offer to C only.
    .target(name: "CSystem", path: "Sources/C/CSystem"),
    .target(
      name: "CHDF5", path: "Sources/C/CHDF5",
      linkerSettings: [.linkedLibrary("dl", .when(platforms: [.linux]))]),
    .systemLibrary(
      name: "CZlib", path: "Sources/C/CZlib", pkgConfig: "zlib",
      providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),
    .target(name: "CChecksum", dependencies: ["CZlib"], path: "Sources/C/CChecksum"),
    .target(name: "CElements", path: "Sources/C/CElements"),
    .target(name: "CKernels", path: "Sources/C/CKernels"),
    // The ground. Apple has a module called System, so ours is HostSystem.
    .target(
      name: "HostSystem", dependencies: ["CSystem"], path: "Sources/Base/System",
      exclude: ["Foundation"]),
    .target(name: "HostFoundation", path: "Sources/Base/System/Foundation"),
    .target(name: "Tensors", dependencies: ["HostSystem"], path: "Sources/Base/Tensors"),
    .target(
      name: "Bytes", dependencies: ["Tensors", "CChecksum", "CElements", "CZlib"],
      path: "Sources/Base/Bytes"),
    // Bytes and mathematics never meet.
    .target(name: "Containers", dependencies: ["Bytes", "CHDF5", "CZlib"]),
    .target(name: "Frameworks", dependencies: ["Containers"]),
    .target(name: "RNNEngine", dependencies: ["Tensors", "CKernels"], path: "Sources/Engine"),
    // Meaning, and what people do with it.
    .target(name: "Networks", dependencies: ["Frameworks", "RNNEngine"]),
    .target(name: "Conversion", dependencies: ["Networks"]),
    .target(name: "Parity", dependencies: ["Conversion"]),
    .target(name: "Reports", dependencies: ["Parity"]),
    .target(name: "LanguageModels", dependencies: ["Conversion"]),
    // The door.
    .target(name: "Recurrent", dependencies: ["Conversion", "HostFoundation", "LanguageModels"]),
    // Words.
    .target(
      name: "CommandSupport",
      dependencies: [
        "Recurrent", "Parity", "Reports",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Sources/Commands/Support"),
    .executableTarget(
      name: "rnn-convert", dependencies: ["CommandSupport"], path: "Sources/Commands/rnn-convert"),
    .executableTarget(
      name: "rnn-inspect", dependencies: ["CommandSupport"], path: "Sources/Commands/rnn-inspect"),
    .executableTarget(
      name: "rnn-train", dependencies: ["CommandSupport"], path: "Sources/Commands/rnn-train"),
    .executableTarget(
      name: "rnn-verify", dependencies: ["CommandSupport"], path: "Sources/Commands/rnn-verify"),
    .executableTarget(
      name: "rnn-benchmark", dependencies: ["RNNEngine", "CKernels"],
      path: "Sources/Commands/rnn-benchmark"),
    // Programs to begin with; tests run them.
    .executableTarget(
      name: "example-stream", dependencies: ["Recurrent"], path: "Sources/Examples/Stream"),
    .executableTarget(
      name: "example-fine-tune", dependencies: ["Recurrent"], path: "Sources/Examples/FineTune"),
    .executableTarget(
      name: "example-port", dependencies: ["Recurrent", "Parity"], path: "Sources/Examples/Port"),

    // What several test targets need, and the files that must be refused.
    .target(
      name: "TestSupport", dependencies: ["Bytes"], path: "Tests/Support",
      exclude: ["LibraryOnly", "Networks", "Refused"]),
    .target(
      name: "NetworksTestSupport", dependencies: ["Networks"], path: "Tests/Support/Networks"),
    .testTarget(name: "TensorsTests", dependencies: ["Tensors", "TestSupport"]),
    .testTarget(name: "BytesTests", dependencies: ["Bytes", "TestSupport"]),
    .testTarget(name: "ContainersTests", dependencies: ["Containers", "TestSupport"]),
    .testTarget(name: "FrameworksTests", dependencies: ["Frameworks", "TestSupport"]),
    .testTarget(name: "EngineTests", dependencies: ["RNNEngine", "CKernels", "TestSupport"]),
    .testTarget(
      name: "NetworksTests", dependencies: ["Networks", "NetworksTestSupport", "TestSupport"]),
    .testTarget(
      name: "ConversionTests", dependencies: ["Conversion", "NetworksTestSupport", "TestSupport"]),
    .testTarget(name: "ParityTests", dependencies: ["Recurrent", "Parity", "TestSupport"]),
    .testTarget(name: "ReportsTests", dependencies: ["Recurrent", "Reports", "TestSupport"]),
    .testTarget(name: "LanguageModelsTests", dependencies: ["LanguageModels", "TestSupport"]),
    .testTarget(name: "RecurrentTests", dependencies: ["Recurrent", "Parity", "TestSupport"]),
    .testTarget(
      name: "CommandsTests",
      dependencies: [
        "CommandSupport", "Recurrent", "Parity", "Reports", "TestSupport", "example-stream",
        "example-fine-tune", "example-port", "rnn-verify", "rnn-inspect", "rnn-convert",
        "rnn-train",
      ]),
  ],
  swiftLanguageModes: [.v6]
)

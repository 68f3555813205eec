// swift-tools-version: 6.1
import PackageDescription

let package = Package(
  name: "Recurrent",
  platforms: [.macOS(.v13), .iOS(.v16)],
  products: [
    .library(name: "Recurrent", targets: ["Recurrent"]),
    .executable(name: "rnn-convert", targets: ["rnn-convert"]),
    .executable(name: "rnn-inspect", targets: ["rnn-inspect"]),
    .executable(name: "rnn-train", targets: ["rnn-train"]),
    .executable(name: "rnn-verify", targets: ["rnn-verify"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0")
  ],
  targets: [
    // Nouns, and the two system libraries, each behind one module; libhdf5 is loaded when it is needed.
    .target(name: "CHDF5", linkerSettings: [.linkedLibrary("dl", .when(platforms: [.linux]))]),
    .systemLibrary(
      name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),
    .target(name: "CChecksum", dependencies: ["CZlib"]),
    .target(name: "CElements"),
    .target(name: "Tensors", dependencies: ["CElements"]),
    // Bytes and mathematics never meet.
    .target(name: "Containers", dependencies: ["Tensors", "CHDF5", "CChecksum", "CZlib"]),
    .target(name: "Frameworks", dependencies: ["Containers"]),
    .target(name: "CKernels"),
    .target(name: "RNNEngine", dependencies: ["Tensors", "CKernels"]),
    // Meaning.
    .target(name: "Networks", dependencies: ["Frameworks", "RNNEngine"]),
    .target(name: "Conversion", dependencies: ["Networks"]),
    .target(name: "Parity", dependencies: ["Conversion"]),
    .target(name: "Plots", dependencies: ["Parity"]),
    .target(name: "Training", dependencies: ["Conversion"]),
    // The door.
    .target(name: "Recurrent", dependencies: ["Conversion", "Parity", "Plots", "Training"]),
    // Words.
    .target(
      name: "CommandSupport",
      dependencies: [
        "Recurrent", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .executableTarget(name: "rnn-convert", dependencies: ["CommandSupport"]),
    .executableTarget(name: "rnn-inspect", dependencies: ["CommandSupport"]),
    .executableTarget(name: "rnn-train", dependencies: ["CommandSupport"]),
    .executableTarget(name: "rnn-verify", dependencies: ["CommandSupport"]),
    .executableTarget(name: "rnn-benchmark", dependencies: ["RNNEngine", "CKernels"]),
    // Programs to begin with; tests run them.
    .executableTarget(
      name: "example-stream", dependencies: ["Recurrent"], path: "Sources/Examples/Stream"),
    .executableTarget(
      name: "example-fine-tune", dependencies: ["Recurrent"], path: "Sources/Examples/FineTune"),
    .executableTarget(
      name: "example-port", dependencies: ["Recurrent"], path: "Sources/Examples/Port"),

    .testTarget(name: "TensorsTests", dependencies: ["Tensors"]),
    .testTarget(name: "WeightFormatsTests", dependencies: ["Frameworks"]),
    .testTarget(name: "RNNEngineTests", dependencies: ["RNNEngine", "CKernels"]),
    .testTarget(name: "ConversionTests", dependencies: ["Conversion"]),
    .testTarget(name: "ParityTests", dependencies: ["Recurrent"]),
    .testTarget(name: "RecurrentTests", dependencies: ["Recurrent"]),
    .testTarget(name: "PlotsTests", dependencies: ["Recurrent"]),
    .testTarget(
      name: "ToolTests",
      dependencies: [
        "Recurrent", "example-stream", "example-fine-tune", "example-port", "rnn-verify",
        "rnn-inspect", "rnn-convert", "rnn-train",
      ]),
    .testTarget(name: "TrainingTests", dependencies: ["Training"]),
  ],
  swiftLanguageModes: [.v6]
)

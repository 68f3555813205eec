// swift-tools-version: 6.2
import PackageDescription

// One libFuzzer program for every parser. A package of its own: its programs have no main of their own
// and only build under the fuzzer. tools/fuzz/run builds and runs them.
let parsers = [
  "HDF5", "Keras", "KerasHDF5", "KerasWeights", "PyTorch", "Pickle", "NPZ", "NPY", "Safetensors",
  "JSON", "Shards", "MessagePack", "ONNX", "TensorFlow", "Zip",
]

let package = Package(
  name: "Fuzz",
  platforms: [.macOS(.v13)],
  products: parsers.map { .executable(name: "Fuzz\($0)", targets: ["Fuzz\($0)"]) } + [
    .executable(name: "Sweep", targets: ["Sweep"])
  ],
  targets: [
    // The readers alone, by links to their folders: libFuzzer looks at every branch of a program after
    // every input, and the whole library has four times as many.
    .target(name: "CHDF5", linkerSettings: [.linkedLibrary("dl", .when(platforms: [.linux]))]),
    .systemLibrary(
      name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),
    .target(name: "CChecksum", dependencies: ["CZlib"]),
    .target(name: "CElements"),
    .target(name: "CSystem"),
    .target(name: "HostSystem", dependencies: ["CSystem"], exclude: ["Foundation"]),
    .target(name: "Tensors", dependencies: ["HostSystem"]),
    .target(name: "Bytes", dependencies: ["Tensors", "CChecksum", "CElements", "CZlib"]),
    .target(name: "Containers", dependencies: ["Bytes", "CHDF5", "CZlib"]),
    .target(name: "Frameworks", dependencies: ["Containers"]),

    .target(name: "Attack", dependencies: ["Frameworks"]),
    .executableTarget(name: "Sweep", dependencies: ["Attack"]),
  ] + parsers.map { .executableTarget(name: "Fuzz\($0)", dependencies: ["Attack"]) },
  swiftLanguageModes: [.v6]
)

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
  dependencies: [.package(name: "Recurrent", path: "../..")],
  targets: [
    .target(name: "Attack", dependencies: [.product(name: "Recurrent", package: "Recurrent")]),
    .executableTarget(name: "Sweep", dependencies: ["Attack"]),
  ] + parsers.map { .executableTarget(name: "Fuzz\($0)", dependencies: ["Attack"]) },
  swiftLanguageModes: [.v6]
)

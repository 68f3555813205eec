// What a file is to hold, free of any library's handles: the writer's counterpart of HDF5Contents.

import Tensors

/// One object of a file to be written.
package struct HDF5Object: Sendable {
  package enum Content: Sendable {
    case group
    /// Elements, laid out contiguously.
    case dataset(Tensor)
    /// A second name of the dataset under another path.
    case link(to: [Name])
  }

  package enum Value: Sendable {
    /// A scalar text of variable length.
    case text(String)
    /// A list of texts of one fixed length, as h5py stores NumPy's `S` arrays.
    case texts([String])
  }

  /// The names of the links from the root; empty for the root group itself.
  package var path: [Name]
  package var content: Content
  package var attributes: [(key: String, value: Value)] = []
  /// Whether 16-bit brain floats are stored as opaque pairs of bytes, as Keras does.
  package var storesBF16AsOpaque = false

  /// Describes an object.
  package init(
    path: [Name], content: Content, attributes: [(key: String, value: Value)] = [],
    storesBF16AsOpaque: Bool = false
  ) {
    self.path = path
    self.content = content
    self.attributes = attributes
    self.storesBF16AsOpaque = storesBF16AsOpaque
  }

  /// The path as libhdf5 takes it.
  package var pathText: String { "/" + path.map(\.string).joined(separator: "/") }

  /// A state dict, flat: metadata on the root group, one dataset per key, tied tensors as links.
  package static func flat(_ state: StateDict) throws -> [HDF5Object] {
    let metadata = state.metadata.pairs.map { (key: $0.key, value: Value.text($0.value)) }
    var objects = [HDF5Object(path: [], content: .group, attributes: metadata)]
    var written: Set<Name> = []
    for entry in state.entries {
      if let first = state.ties[entry.name], first != entry.name, written.contains(first),
        let other = state[first], try other.isIdentical(to: entry.tensor)
      {
        objects.append(HDF5Object(path: [entry.name], content: .link(to: [first])))
      } else {
        objects.append(HDF5Object(path: [entry.name], content: .dataset(entry.tensor)))
      }
      written.insert(entry.name)
    }
    return objects
  }

  /// Throws when HDF5 cannot hold a name or a text.
  package func check() throws {
    // A slash would make groups, "." is the group itself, and libhdf5 ends names at a NUL.
    for name in path {
      let bytes = name.utf8
      guard !bytes.isEmpty, bytes != [0x2E], !bytes.contains(0x2F), !bytes.contains(0) else {
        throw RecurrentError(
          .hdf5Name, at: "tensor \"\(name)\"", found: "a name that HDF5 cannot hold",
          expected: "a name that is neither empty nor \".\" and has no slash and no NUL",
          hint: "Rename the tensor, or write safetensors or npz.")
      }
    }
    for (key, value) in attributes {
      let texts =
        switch value {
        case .text(let text): [key, text]
        case .texts(let list): [key] + list
        }
      guard !key.isEmpty, texts.allSatisfy({ !$0.utf8.contains(0) }) else {
        throw RecurrentError(
          .hdf5Metadata, at: "metadata \"\(key)\"",
          found: "an empty key or a NUL in the text", expected: "text that HDF5 can hold")
      }
    }
  }
}

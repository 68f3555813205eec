import HostSystem
import Recurrent

extension RecurrentError {
  /// The error, with the name that was probably meant where a file is missing.
  var namingNeighbour: RecurrentError {
    guard reason == .fileMissing, hint == nil, let file, let neighbour = neighbour(of: file)
    else { return self }
    var error = self
    error.advice = "Did you mean \(quotedForShell(neighbour))?"
    return error
  }
}

/// The file beside a missing one whose name is nearest to it.
private func neighbour(of path: String) -> String? {
  let cut = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
  let (folder, name) = (String(path[..<cut]), String(path[cut...]))
  guard !name.isEmpty, let directory = opendir(folder.isEmpty ? "." : folder) else { return nil }
  defer { closedir(directory) }
  var names: [String] = []
  while names.count < 10_000, let entry = readdir(directory) {
    let found = withUnsafePointer(to: &entry.pointee.d_name) {
      $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    if !found.hasPrefix("."), found != name { names.append(found) }
  }
  return nearest(to: name, among: names.sorted()).map { folder + $0 }
}

import ArgumentParser

/// Help texts with placeholders as manual pages write them: `--cell CELL`, not `--cell <CELL>`.
func plainHelp(_ text: String) -> String {
  text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
    guard line.hasPrefix("  "), let start = line.firstIndex(of: "<"),
      let end = line[start...].firstIndex(of: ">"),
      line[start..<end].dropFirst().allSatisfy({ $0.isUppercase || $0 == "." || $0 == "-" })
    else { return String(line) }
    let name = line[start..<end].dropFirst()
    var rest = line[line.index(after: end)...]
    // What stands behind it keeps its column.
    if rest.first == " " { rest = "  " + rest }
    return String(line[..<start] + name + rest)
  }.joined(separator: "\n")
}

import Attack
import Bytes
import Containers
import Frameworks
import Glibc
import Tensors

/// Every prefix and every flipped bit of files, each read in this process: `Sweep (prefixes|bits) FILE...`
///
/// A prefix must be refused. A flipped bit must be refused or, under `bits`, mean what the file meant:
/// for containers in which every byte that matters is under a checksum.
@main struct Sweep {
  static func main() {
    let kind = CommandLine.arguments.dropFirst().first ?? ""
    var (count, refused, wrong) = (0, 0, 0)
    for path in CommandLine.arguments.dropFirst(2) {
      guard let input = try? InputFile(path: path), let bytes = try? input.read(0..<input.count)
      else {
        print("sweep: cannot read \(path)")
        exit(66)
      }
      // Beside the original, so that files of several parts find the others.
      let bait = Bait()
      bytes.withUnsafeBytes { bait.fill($0) }
      let whole = outcome(of: bait.path)
      guard case .accepted = whole else { continue }
      func judge(_ place: String, _ allowed: Outcome?) {
        count += 1
        let found = outcome(of: bait.path)
        if case .refused = found {
          refused += 1
        } else if found != allowed {
          wrong += 1
          if wrong <= 40 { print("sweep: \(path): \(place) accepted") }
        }
      }
      if kind == "prefixes" {
        for length in bytes.indices.reversed() {
          bait.cut(to: length)
          judge("the first \(length) of \(bytes.count) bytes", nil)
        }
      } else {
        for index in bytes.indices {
          for bit in 0..<8 {
            bait.set(bytes[index] ^ UInt8(1 << bit), at: index)
            judge("bit \(bit) of byte \(index) of \(bytes.count)", whole)
          }
          bait.set(bytes[index], at: index)
        }
      }
    }
    print("sweep \(kind): \(count) files, \(refused) refused, \(wrong) wrong")
    exit(wrong == 0 ? 0 : 1)
  }
}

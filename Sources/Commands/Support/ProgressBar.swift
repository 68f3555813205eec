import HostSystem
import Recurrent

/// One line on standard error that says how far long work is, and vanishes when it is done.
///
/// It appears only on a terminal and only after half a second. Any thread may update it.
public final class ProgressBar: @unchecked Sendable {
  private static let patience = 0.5
  private static let interval = 0.1

  private let isEnabled: Bool
  private let lock = Lock()
  private let start = seconds()
  // Guarded by the lock.
  private var isVisible = false
  private var lastDrawn = 0.0
  private var label = ""
  private var labelStart = 0.0
  private var isFinished = false

  /// Creates a bar that stays silent when `isWanted` is false (`--quiet`, `--json`).
  public init(isWanted: Bool) {
    isEnabled = isWanted && isatty(STDERR_FILENO) == 1
  }

  deinit { clear() }

  /// Says how many bytes of how many are done; a new label begins a new measurement of speed.
  public func update(_ label: String, done: Int, total: Int) {
    guard isEnabled else { return }
    let now = seconds()
    lock.withLock {
      if label != self.label { (self.label, labelStart) = (label, now) }
      guard !isFinished, now - start >= Self.patience, now - lastDrawn >= Self.interval else {
        return
      }
      lastDrawn = now
      isVisible = true
      let line = Self.line(
        label, done: done, total: total, elapsed: now - labelStart, width: terminalWidth())
      Output.complain("\r" + line + "\u{1B}[K")
    }
  }

  /// Erases the line; nothing is drawn afterwards.
  public func clear() {
    guard isEnabled else { return }
    lock.withLock {
      isFinished = true
      if isVisible { Output.complain("\r\u{1B}[K") }
      isVisible = false
    }
  }

  /// `writing  [#####.....]  1.25 GB of 2.5 GB  410 MB/s  0:03 left`, cut to the terminal's width.
  static func line(_ label: String, done: Int, total: Int, elapsed: Double, width: Int) -> String {
    let share = total > 0 ? min(1, Double(done) / Double(total)) : 0
    var facts = "\(bytes(done)) of \(bytes(total))"
    if elapsed > 0.3, done > 0 {
      let rate = Double(done) / elapsed
      let left = Int(Double(max(0, total - done)) / rate + 0.5)
      let digits = left % 60 < 10 ? "0\(left % 60)" : "\(left % 60)"
      facts += "  \(bytes(Int(rate)))/s  \(left / 60):\(digits) left"
    }
    let room = min(30, width - label.count - facts.count - 9)
    var line = "  \(label)  "
    if room >= 10 {
      let filled = Int(share * Double(room))
      line += "[" + String(repeating: "#", count: filled)
      line += String(repeating: ".", count: room - filled) + "]  "
    }
    return String((line + facts).prefix(max(0, width - 1)))
  }
}

/// `1.25 GB`: decimal units, three digits.
func bytes(_ count: Int) -> String {
  var value = Double(count)
  var unit = 0
  let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"]
  while value >= 999.5, unit < units.count - 1 { (value, unit) = (value / 1000, unit + 1) }
  let scale = value < 10 ? 100.0 : value < 100 ? 10 : 1
  let text = "\((value * scale).rounded() / scale)"
  return (text.hasSuffix(".0") ? String(text.dropLast(2)) : text) + " " + units[unit]
}

import HostSystem
import Tensors

/// A value that is made when first asked for, by whichever thread asks first.
final class Once<Value: Sendable>: @unchecked Sendable {
  private let lock = Lock()
  private var value: Value?

  /// The value; `make` runs if there is none yet.
  func get(_ make: () throws -> Value) rethrows -> Value {
    try lock.withLock {
      if let value { return value }
      let made = try make()
      value = made
      return made
    }
  }
}

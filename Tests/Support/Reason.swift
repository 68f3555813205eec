import Tensors

/// The reason of the error that `body` throws, or `nil`; an error that is none of ours is "foreign: …".
package func reason(_ body: () throws -> Void) -> String? {
  do {
    try body()
    return nil
  } catch let error as RecurrentError {
    return error.reason.code
  } catch {
    return "foreign: \(error)"
  }
}

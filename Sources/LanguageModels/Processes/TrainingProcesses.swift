import RNNEngine

/// Processes that train one model together, each on its share of the batch's rows.
///
/// Every call is collective: all processes make the same calls in the same order.
package protocol TrainingProcesses: Sendable {
  /// Which of them this is, from 0.
  var rank: Int { get }
  /// How many there are.
  var count: Int { get }
  /// Replaces numbers by their mean over the processes, the same bits in each.
  func average<S: Scalar>(_ values: inout [S]) throws
  /// The numbers of all processes, those of process 0 first.
  func gather<S: Scalar>(_ values: [S]) throws -> [S]
}

/// A process on its own.
package struct SingleProcess: TrainingProcesses {
  /// Creates it.
  package init() {}

  /// 0.
  package var rank: Int { 0 }
  /// 1.
  package var count: Int { 1 }
  /// Changes nothing.
  package func average<S: Scalar>(_ values: inout [S]) {}
  /// Gives back what it gets.
  package func gather<S: Scalar>(_ values: [S]) -> [S] { values }
}

extension TrainingProcesses {
  /// The largest of the processes' numbers.
  package func largest(_ value: Int) throws -> Int {
    Int(try gather([Double(value)]).max() ?? 0)
  }

  /// Averages the arrays of several groups, and a number besides, in one message.
  func average<S: Scalar>(_ groups: inout [Parameters<S>], and value: inout S) throws {
    guard count > 1 else { return }
    var message = [value]
    for group in groups { for (_, array) in group.entries { message += array.elements } }
    try average(&message)
    value = message[0]
    var start = 1
    for index in groups.indices {
      for (name, array) in groups[index].entries {
        groups[index][name]?.elements = Array(message[start..<start + array.count])
        start += array.count
      }
    }
  }

  /// Puts together the rows (L, N, S) that every process has: (L, K · N, S).
  func gatherRows<S: Scalar>(_ state: NDArray<S>) throws -> NDArray<S> {
    guard count > 1 else { return state }
    let (layers, width) = (state.shape[0], state.shape[1] * state.shape[2])
    let all = try gather(state.elements)
    var elements: [S] = []
    elements.reserveCapacity(all.count)
    for layer in 0..<layers {
      for process in 0..<count {
        let start = (process * layers + layer) * width
        elements += all[start..<start + width]
      }
    }
    return try NDArray(
      shape: [layers, count * state.shape[1], state.shape[2]], elements: elements)
  }

  /// This process's rows of (L, K · N, S).
  func ownRows<S: Scalar>(_ state: NDArray<S>) throws -> NDArray<S> {
    guard count > 1, state.shape.count == 3, state.shape[1] % count == 0 else { return state }
    let width = state.shape[1] / count * state.shape[2]
    return try NDArray(
      shape: [state.shape[0], state.shape[1] / count, state.shape[2]],
      elements: own(state.elements, width: width))
  }

  /// This process's columns of a matrix that is K · `width` wide.
  func own<T>(_ elements: [T], width: Int) -> [T] {
    guard count > 1 else { return elements }
    return stride(from: rank * width, to: elements.count, by: count * width).flatMap {
      elements[$0..<$0 + width]
    }
  }
}

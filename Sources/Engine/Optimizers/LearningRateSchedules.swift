import HostSystem

// PyTorch's schedules go from one rate to the next rather than compute each anew, and so do these: the
// rates are equal to the last bit.

/// A learning rate that changes with the number of `step` calls: PyTorch's `torch.optim.lr_scheduler`, equal
/// to the last bit.
///
/// A schedule is a value: a copy continues on its own. Hand its `learningRate` to an optimiser:
///
/// ```swift
/// var schedule = LearningRateSchedule.cosine(0.1, period: 100)
/// optimizer.learningRate = schedule.learningRate   // before each step of the optimiser
/// schedule.step()                                  // after it, or once per epoch
/// ```
public struct LearningRateSchedule: Sendable, Equatable {
  private enum Rule: Sendable, Equatable {
    case constant
    case steps(every: Int, factor: Double)
    case exponential(factor: Double)
    case cosine(initial: Double, period: Int, minimum: Double)
    case linear(start: Double, end: Double, length: Int)
    case plateau(Plateau)
  }

  private var rate: Double
  private var rule: Rule
  private var epoch = 0
  private var warmUps: [WarmUp] = []

  private init(_ rate: Double, _ rule: Rule) {
    self.rate = rate
    self.rule = rule
  }

  /// The rate for the next step of the optimiser.
  public var learningRate: Double {
    warmUps.reduce(rate) { $0 * $1.value }
  }

  /// One rate for ever.
  public static func constant(_ learningRate: Double) -> Self { Self(learningRate, .constant) }

  /// `StepLR`: the rate is multiplied by `factor` (`gamma`) every so many steps (`step_size`, at least 1).
  public static func steps(
    _ learningRate: Double, every period: Int, factor: Double = 0.1
  ) -> Self {
    Self(learningRate, .steps(every: max(1, period), factor: factor))
  }

  /// `ExponentialLR`: the rate is multiplied by `factor` (`gamma`) in every step.
  public static func exponential(_ learningRate: Double, factor: Double) -> Self {
    Self(learningRate, .exponential(factor: factor))
  }

  /// `CosineAnnealingLR`: down to `minimum` (`eta_min`) along half a cosine in `period` steps (`T_max`, at
  /// least 1), and up again.
  public static func cosine(_ learningRate: Double, period: Int, minimum: Double = 0) -> Self {
    Self(
      learningRate, .cosine(initial: learningRate, period: max(1, period), minimum: minimum))
  }

  /// `LinearLR`: from `start` (`start_factor`) times the rate along a line to `end` (`end_factor`) times the
  /// rate in `length` steps (`total_iters`), where it stays.
  public static func warmUp(
    _ learningRate: Double, start: Double = 1.0 / 3, end: Double = 1, length: Int = 5
  ) -> Self {
    Self(learningRate * start, .linear(start: start, end: end, length: length))
  }

  /// The rate of another schedule, in its first `length` steps times a factor that rises from `start` to 1 as
  /// in `LinearLR`; the other schedule goes on meanwhile.
  public static func warmUp(
    start: Double = 1.0 / 3, length: Int = 5, then schedule: Self
  ) -> Self {
    var result = schedule
    result.warmUps.append(WarmUp(start: start, length: length))
    return result
  }

  /// `ReduceLROnPlateau`: the rate is multiplied by `factor` when a metric has not become better in more than
  /// `patience` calls of ``observe(_:)``.
  ///
  /// Better is below the best so far by more than `threshold`, a share of it, or above it where
  /// `higherIsBetter` (`mode="max"`); with `thresholdIsAbsolute` (`threshold_mode="abs"`) the threshold is a
  /// distance. After a fall, `cooldown` calls do not count. The rate never falls below `minimum` (`min_lr`), nor
  /// by less than `epsilon` (`eps`).
  public static func plateau(
    _ learningRate: Double, higherIsBetter: Bool = false, factor: Double = 0.1, patience: Int = 10,
    threshold: Double = 1e-4, thresholdIsAbsolute: Bool = false, cooldown: Int = 0,
    minimum: Double = 0, epsilon: Double = 1e-8
  ) -> Self {
    Self(
      learningRate,
      .plateau(
        Plateau(
          higherIsBetter: higherIsBetter, factor: factor, patience: patience,
          threshold: threshold, thresholdIsAbsolute: thresholdIsAbsolute, cooldown: cooldown,
          minimum: minimum, epsilon: epsilon, best: higherIsBetter ? -.infinity : .infinity)))
  }

  /// Goes on; a plateau's rate waits for ``observe(_:)`` instead.
  public mutating func step() {
    epoch += 1
    for index in warmUps.indices { warmUps[index].step() }
    switch rule {
    case .constant, .plateau: break
    case .steps(let period, let factor): if epoch % period == 0 { rate *= factor }
    case .exponential(let factor): rate *= factor
    case .cosine(let initial, let period, let minimum):
      let length = Double(period)
      if (epoch - 1 - period) % (2 * period) == 0 {
        rate += (initial - minimum) * (1 - cos(Double.pi / length)) / 2
      } else {
        rate =
          (1 + cos(Double.pi * Double(epoch) / length))
          / (1 + cos(Double.pi * Double(epoch - 1) / length)) * (rate - minimum) + minimum
      }
    case .linear(let start, let end, let length):
      rate *= Self.rise(to: epoch, start: start, end: end, length: length)
    }
  }

  /// Tells a plateau schedule the loss or the accuracy of an epoch, as `step(metrics)`; others do not read it.
  public mutating func observe(_ metric: Double) {
    guard case .plateau(var plateau) = rule else { return }
    plateau.observe(metric, &rate)
    rule = .plateau(plateau)
  }
}

extension LearningRateSchedule {
  /// A factor for the first steps, as `LinearLR` of a rate of 1.
  private struct WarmUp: Sendable, Equatable {
    let start: Double
    let length: Int
    var factor: Double
    var epoch = 0

    init(start: Double, length: Int) {
      self.start = start
      self.length = length
      factor = start
    }

    /// 1 from the step `length` on.
    var value: Double { epoch < length ? factor : 1 }

    mutating func step() {
      epoch += 1
      factor *= LearningRateSchedule.rise(to: epoch, start: start, end: 1, length: length)
    }
  }

  /// What the rate of `LinearLR` is multiplied by in a step.
  private static func rise(to epoch: Int, start: Double, end: Double, length: Int) -> Double {
    if epoch > length { return 1 }
    let rise = end - start
    return 1 + rise / (Double(length) * start + Double(epoch - 1) * rise)
  }

  /// When the rate falls.
  private struct Plateau: Sendable, Equatable {
    let higherIsBetter: Bool
    let factor: Double
    let patience: Int
    let threshold: Double
    let thresholdIsAbsolute: Bool
    let cooldown: Int
    let minimum: Double
    let epsilon: Double
    var best: Double
    var badCount = 0
    var coolingCount = 0

    mutating func observe(_ metric: Double, _ rate: inout Double) {
      if isBetter(metric) {
        best = metric
        badCount = 0
      } else {
        badCount += 1
      }
      if coolingCount > 0 {
        coolingCount -= 1
        badCount = 0
      }
      if badCount > patience {
        let reduced = max(rate * factor, minimum)
        if rate - reduced > epsilon { rate = reduced }
        coolingCount = cooldown
        badCount = 0
      }
    }

    private func isBetter(_ metric: Double) -> Bool {
      switch (higherIsBetter, thresholdIsAbsolute) {
      case (false, false): metric < best * (1 - threshold)
      case (false, true): metric < best - threshold
      case (true, false): metric > best * (1 + threshold)
      case (true, true): metric > best + threshold
      }
    }
  }
}

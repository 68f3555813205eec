import HostSystem

// PyTorch's schedules go from one rate to the next rather than compute each anew, and so do these: the
// rates are equal to the last bit.

/// A learning rate that changes with the number of `step` calls; hand `learningRate` to an optimiser.
public protocol LearningRateSchedule: Sendable {
  /// The rate for the next step of the optimiser.
  var learningRate: Double { get }
  /// Goes on, usually once per epoch.
  mutating func step()
}

/// `torch.optim.lr_scheduler.StepLR`: the rate is multiplied by a factor every so many steps.
public struct StepSchedule: LearningRateSchedule, Equatable {
  /// The rate for the next step of the optimiser.
  public private(set) var learningRate: Double
  private let period: Int
  private let factor: Double
  private var epoch = 0

  /// Creates a schedule; a period below 1 counts as 1.
  public init(_ learningRate: Double, every period: Int, factor: Double = 0.1) {
    self.learningRate = learningRate
    self.period = max(1, period)
    self.factor = factor
  }

  /// Goes on.
  public mutating func step() {
    epoch += 1
    if epoch % period == 0 { learningRate *= factor }
  }
}

/// `torch.optim.lr_scheduler.ExponentialLR`: the rate is multiplied by a factor in every step.
public struct ExponentialSchedule: LearningRateSchedule, Equatable {
  /// The rate for the next step of the optimiser.
  public private(set) var learningRate: Double
  private let factor: Double

  /// Creates a schedule.
  public init(_ learningRate: Double, factor: Double) {
    self.learningRate = learningRate
    self.factor = factor
  }

  /// Goes on.
  public mutating func step() { learningRate *= factor }
}

/// `torch.optim.lr_scheduler.CosineAnnealingLR`: down along half a cosine in a period, and up again.
public struct CosineSchedule: LearningRateSchedule, Equatable {
  /// The rate for the next step of the optimiser.
  public private(set) var learningRate: Double
  private let initial: Double
  private let period: Int
  private let minimum: Double
  private var epoch = 0

  /// Creates a schedule; a period below 1 counts as 1.
  public init(_ learningRate: Double, period: Int, minimum: Double = 0) {
    self.learningRate = learningRate
    initial = learningRate
    self.period = max(1, period)
    self.minimum = minimum
  }

  /// Goes on.
  public mutating func step() {
    epoch += 1
    let length = Double(period)
    if (epoch - 1 - period) % (2 * period) == 0 {
      learningRate += (initial - minimum) * (1 - cos(Double.pi / length)) / 2
    } else {
      learningRate =
        (1 + cos(Double.pi * Double(epoch) / length))
        / (1 + cos(Double.pi * Double(epoch - 1) / length)) * (learningRate - minimum) + minimum
    }
  }
}

/// `torch.optim.lr_scheduler.LinearLR`: the rate rises along a line to its full value, a warm-up.
public struct WarmUpSchedule: LearningRateSchedule, Equatable {
  /// The rate for the next step of the optimiser.
  public private(set) var learningRate: Double
  private let start: Double
  private let end: Double
  private let length: Int
  private var epoch = 0

  /// Creates a schedule from `start` times the rate to `end` times the rate in `length` steps.
  public init(
    _ learningRate: Double, start: Double = 1.0 / 3, end: Double = 1, length: Int = 5
  ) {
    self.learningRate = learningRate * start
    self.start = start
    self.end = end
    self.length = length
  }

  /// Goes on.
  public mutating func step() {
    epoch += 1
    if epoch > length { return }
    let rise = end - start
    learningRate *= 1 + rise / (Double(length) * start + Double(epoch - 1) * rise)
  }
}

/// `torch.optim.lr_scheduler.ReduceLROnPlateau`: the rate falls when a loss no longer does.
public struct PlateauSchedule: Sendable, Equatable {
  /// Which way a metric improves.
  public enum Mode: Sendable, Equatable {
    /// A loss: downwards.
    case min
    /// An accuracy: upwards.
    case max
  }

  /// What the threshold is a share of.
  public enum Threshold: Sendable, Equatable {
    /// A share of the best value.
    case relative(Double)
    /// A distance to the best value.
    case absolute(Double)
  }

  /// The rate for the next step of the optimiser.
  public private(set) var learningRate: Double
  private let mode: Mode
  private let factor: Double
  private let patience: Int
  private let threshold: Threshold
  private let cooldown: Int
  private let minimum: Double
  private let epsilon: Double
  private var best: Double
  private var badCount = 0
  private var coolingCount = 0

  /// Creates a schedule with PyTorch's defaults.
  public init(
    _ learningRate: Double, mode: Mode = .min, factor: Double = 0.1, patience: Int = 10,
    threshold: Threshold = .relative(1e-4), cooldown: Int = 0, minimum: Double = 0,
    epsilon: Double = 1e-8
  ) {
    self.learningRate = learningRate
    self.mode = mode
    self.factor = factor
    self.patience = patience
    self.threshold = threshold
    self.cooldown = cooldown
    self.minimum = minimum
    self.epsilon = epsilon
    best = mode == .min ? .infinity : -.infinity
  }

  /// Goes on, given the loss or the accuracy of the epoch.
  public mutating func step(_ metric: Double) {
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
      let reduced = Swift.max(learningRate * factor, minimum)
      if learningRate - reduced > epsilon { learningRate = reduced }
      coolingCount = cooldown
      badCount = 0
    }
  }

  private func isBetter(_ metric: Double) -> Bool {
    switch (mode, threshold) {
    case (.min, .relative(let share)): metric < best * (1 - share)
    case (.min, .absolute(let distance)): metric < best - distance
    case (.max, .relative(let share)): metric > best * (1 + share)
    case (.max, .absolute(let distance)): metric > best + distance
    }
  }
}

import RNNEngine

/// The learning rate of every step of a plan: a warm-up, then a schedule.
struct LearningRate: Sendable {
  private var schedule: (any LearningRateSchedule)?
  private var plateau: PlateauSchedule?
  private var warmUp: WarmUpSchedule?
  private let constant: Double
  private let warmUpSteps: Int
  private var step = 0

  init(_ plan: TrainingPlan) {
    constant = plan.learningRate
    warmUpSteps = plan.warmUp
    if plan.warmUp > 0 {
      warmUp = WarmUpSchedule(1, start: 1 / Double(plan.warmUp + 1), length: plan.warmUp)
    }
    let period = plan.period > 0 ? plan.period : max(1, plan.limit)
    switch plan.schedule {
    case .constant: break
    case .cosine: schedule = CosineSchedule(constant, period: period)
    case .step: schedule = StepSchedule(constant, every: period, factor: plan.factor)
    case .exponential: schedule = ExponentialSchedule(constant, factor: plan.factor)
    case .plateau:
      plateau = PlateauSchedule(
        constant, factor: plan.factor, patience: plan.period > 0 ? plan.period : 2)
    }
  }

  var value: Double {
    let full = schedule?.learningRate ?? plateau?.learningRate ?? constant
    return step < warmUpSteps ? full * (warmUp?.learningRate ?? 1) : full
  }

  mutating func advance() {
    step += 1
    schedule?.step()
    warmUp?.step()
  }

  mutating func validated(_ loss: Double) { plateau?.step(loss) }
}

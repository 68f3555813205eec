import RNNEngine

extension LearningRateSchedule {
  /// The learning rate of every step of a plan: a schedule, and a warm-up in its first steps.
  init(_ plan: TrainingPlan) {
    let rate = plan.learningRate
    let period = plan.period > 0 ? plan.period : max(1, plan.limit)
    let schedule: Self =
      switch plan.schedule {
      case .constant: .constant(rate)
      case .cosine: .cosine(rate, period: period)
      case .step: .steps(rate, every: period, factor: plan.factor)
      case .exponential: .exponential(rate, factor: plan.factor)
      case .plateau:
        .plateau(rate, factor: plan.factor, patience: plan.period > 0 ? plan.period : 2)
      }
    self =
      plan.warmUp > 0
      ? .warmUp(start: 1 / Double(plan.warmUp + 1), length: plan.warmUp, then: schedule) : schedule
  }
}

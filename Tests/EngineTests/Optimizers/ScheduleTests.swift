import Testing

@testable import RNNEngine

/// Forty steps of every schedule, from 0.1, to the last bit of PyTorch's.
@Suite("Learning rates are PyTorch's to the last bit")
struct ScheduleTests {
  private func rates<T: LearningRateSchedule>(_ schedule: T) -> [Double] {
    var schedule = schedule
    var rates = [schedule.learningRate]
    for _ in 0..<40 {
      schedule.step()
      rates.append(schedule.learningRate)
    }
    return rates
  }

  @Test func ratesHaveTorchsBits() {
    #expect(
      sameBits(
        rates(StepSchedule(0.1, every: 4, factor: 0.3)), GoldenNumbers.random.doubles("stepRates")))
    #expect(
      sameBits(
        rates(ExponentialSchedule(0.1, factor: 0.93)),
        GoldenNumbers.random.doubles("exponentialRates")))
    #expect(
      sameBits(
        rates(CosineSchedule(0.1, period: 10, minimum: 0.002)),
        GoldenNumbers.random.doubles("cosineRates")))
    #expect(
      sameBits(
        rates(WarmUpSchedule(0.1, start: 0.2, length: 7)),
        GoldenNumbers.random.doubles("linearRates")))
  }

  @Test func plateausHaveTorchsBits() {
    var schedule = PlateauSchedule(0.1, factor: 0.5, patience: 2, cooldown: 1, minimum: 1e-3)
    var rates = [schedule.learningRate]
    for loss in GoldenNumbers.random.doubles("plateauLosses") {
      schedule.step(loss)
      rates.append(schedule.learningRate)
    }
    #expect(sameBits(rates, GoldenNumbers.random.doubles("plateauRates")))
    #expect(Set(rates).count > 4)
  }

  @Test func accuraciesRise() {
    var schedule = PlateauSchedule(
      1, mode: .max, factor: 0.1, patience: 1, threshold: .absolute(0.5))
    for accuracy in [1.0, 2, 3] { schedule.step(accuracy) }
    #expect(schedule.learningRate == 1)
    for accuracy in [3.4, 3.5] { schedule.step(accuracy) }
    #expect(schedule.learningRate == 0.1)
  }
}

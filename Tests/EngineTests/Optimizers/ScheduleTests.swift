import Testing

@testable import RNNEngine

/// Forty steps of every schedule, from 0.1, to the last bit of PyTorch's.
@Suite("Learning rates are PyTorch's to the last bit")
struct ScheduleTests {
  private func rates(_ schedule: LearningRateSchedule) -> [Double] {
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
        rates(.steps(0.1, every: 4, factor: 0.3)), GoldenNumbers.random.doubles("stepRates")))
    #expect(
      sameBits(
        rates(.exponential(0.1, factor: 0.93)),
        GoldenNumbers.random.doubles("exponentialRates")))
    #expect(
      sameBits(
        rates(.cosine(0.1, period: 10, minimum: 0.002)),
        GoldenNumbers.random.doubles("cosineRates")))
    #expect(
      sameBits(
        rates(.warmUp(0.1, start: 0.2, length: 7)),
        GoldenNumbers.random.doubles("linearRates")))
  }

  @Test func plateausHaveTorchsBits() {
    var schedule = LearningRateSchedule.plateau(
      0.1, factor: 0.5, patience: 2, cooldown: 1, minimum: 1e-3)
    var rates = [schedule.learningRate]
    for loss in GoldenNumbers.random.doubles("plateauLosses") {
      schedule.observe(loss)
      rates.append(schedule.learningRate)
    }
    #expect(sameBits(rates, GoldenNumbers.random.doubles("plateauRates")))
    #expect(Set(rates).count > 4)
  }

  @Test func accuraciesRise() {
    var schedule = LearningRateSchedule.plateau(
      1, higherIsBetter: true, factor: 0.1, patience: 1, threshold: 0.5, thresholdIsAbsolute: true)
    for accuracy in [1.0, 2, 3] { schedule.observe(accuracy) }
    #expect(schedule.learningRate == 1)
    for accuracy in [3.4, 3.5] { schedule.observe(accuracy) }
    #expect(schedule.learningRate == 0.1)
    schedule.step()
    #expect(schedule.learningRate == 0.1)
  }

  @Test func warmUpsScaleAnotherSchedule() {
    let cosine = LearningRateSchedule.cosine(0.1, period: 10)
    let factors = rates(.warmUp(1, start: 0.25, length: 4))
    let whole = rates(.warmUp(start: 0.25, length: 4, then: cosine))
    for (step, (rate, full)) in zip(whole, rates(cosine)).enumerated() {
      #expect(rate == (step < 4 ? full * factors[step] : full), "step \(step)")
    }
    var plateau = LearningRateSchedule.warmUp(length: 2, then: .plateau(1, patience: 0))
    for _ in 0..<2 { plateau.step() }
    for loss in [1.0, 1] { plateau.observe(loss) }
    #expect(plateau.learningRate == 0.1)
    #expect(Set(rates(.constant(0.5))) == [0.5])
  }
}

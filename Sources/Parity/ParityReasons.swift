import Tensors

extension RecurrentError.Reason {
  package static let againstFolder = Self("against.folder", .resources)
  package static let againstProgram = Self("against.program", .mismatch)
  package static let againstWhole = Self("against.whole", .unsupported)
  package static let fixtureCell = Self("fixture.cell", .unsupported)
  package static let fixtureConfig = Self("fixture.config", .damaged)
  package static let fixtureExtra = Self("fixture.extra", .mismatch)
  package static let fixtureInput = Self("fixture.input", .mismatch)
  package static let fixtureMissing = Self("fixture.missing", .mismatch)
  package static let fixtureNone = Self("fixture.none", .missing)
  package static let fixtureNothingExpected = Self("fixture.nothing-expected", .mismatch)
  package static let fixtureOptimizer = Self("fixture.optimizer", .unsupported)
  package static let fixtureStates = Self("fixture.states", .mismatch)
  package static let parityDifference = Self("parity.difference", .difference)
  package static let parityNothing = Self("parity.nothing", .mismatch)
  package static let parityPortrait = Self("parity.portrait", .unsupported)
}

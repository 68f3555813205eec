import Testing

@testable import CommandSupport

@Suite struct InterruptionTests {
  @Test func aSignalMayBeDeferred() {
    Interruption.deferSignals()
    #expect(Interruption.signal == nil)
    #expect(Interruption.notes(15))
    #expect(Interruption.signal == 15)
    // The second one is obeyed.
    #expect(!Interruption.notes(2))
    #expect(Interruption.signal == 15)
  }
}

import Testing

@testable import CommandSupport

// What is deferred stays deferred, so a process of its own does it.
#if compiler(>=6.2) && (os(macOS) || os(Linux))
  @Suite("A signal is noted while work is saved, and a second one is obeyed")
  struct InterruptionTests {
    @Test func theFirstOfTwoIsNoted() async {
      await #expect(processExitsWith: .success) {
        #expect(!Interruption.notes(15) && Interruption.signal == nil)
        Interruption.deferSignals()
        #expect(Interruption.signal == nil)
        #expect(Interruption.notes(15))
        #expect(Interruption.signal == 15)
        #expect(!Interruption.notes(2))
        #expect(Interruption.signal == 15)
      }
    }
  }
#endif

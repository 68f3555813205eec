import Tensors

/// Whether a checksum in a file is the one of the file's bytes.
///
/// Fuzzers cannot compute checksums, and would hardly see what lies behind them. Some are built with
/// `FUZZING`, where every checksum is right; nothing else is built so.
package func isRight<Checksum: Equatable>(_ stored: Checksum, for computed: Checksum) -> Bool {
  #if FUZZING
    return true
  #else
    return stored == computed
  #endif
}

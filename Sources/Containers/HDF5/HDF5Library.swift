// The only door to libhdf5: its settings, its lock and its errors.

import CHDF5
import HostSystem
import Tensors

package enum HDF5Library {
  /// Runs `body` with the library set up and nobody else inside it.
  ///
  /// The lock is recursive, because a source that is released inside `body` closes its handles.
  package static func locked<Result>(_ body: () throws -> Result) throws -> Result {
    lock.acquire()
    defer { lock.release() }
    if let setUpFailure { throw setUpFailure }
    // Whether errors are printed is a setting of each thread, and the program's.
    var (printer, context): (H5E_auto2_t?, UnsafeMutableRawPointer?) = (nil, nil)
    let isKnown = H5Eget_auto2(chdf5_default(), &printer, &context) >= 0
    _ = H5Eset_auto2(chdf5_default(), nil, nil)
    defer { if isKnown { _ = H5Eset_auto2(chdf5_default(), printer, context) } }
    return try body()
  }

  /// Closes a handle from a `deinit`.
  package static func close(_ body: () -> Void) {
    lock.acquire()
    defer { lock.release() }
    body()
  }

  private static let lock = HDF5Lock()

  /// Where libhdf5 may be, the names for which the programs are tested first: Debian's two, then those
  /// of other systems.
  package static let names: [String] = {
    if isApple {
      return ["/opt/homebrew/lib", "/usr/local/lib", "/opt/local/lib"].map {
        $0 + "/libhdf5.dylib"
      } + ["libhdf5.dylib"]
    }
    return [
      "libhdf5_serial.so.103", "libhdf5_serial.so.310", "libhdf5_serial.so", "libhdf5.so.103",
      "libhdf5.so.200", "libhdf5.so.310", "libhdf5.so",
    ]
  }()

  /// Loads the first library of these names that has every function we call; throws
  /// `h5.library-missing`.
  package static func load(_ names: [String]) throws {
    var unsuitable: String?
    for name in names {
      var isFound = false
      guard let failure = chdf5_load(name, &isFound) else { return }
      if isFound { unsuitable = "\(name) without \(String(cString: failure))" }
    }
    throw RecurrentError(
      .hdf5LibraryMissing, found: unsuitable ?? "no libhdf5 on this system",
      expected: "libhdf5 \(oldest.major).\(oldest.minor) or newer",
      hint: "Install it: apt install libhdf5-dev, dnf install hdf5, or brew install hdf5.")
  }

  private static let oldest = (major: UInt32(1), minor: UInt32(10))

  /// Whether libhdf5's own settings may be changed: set by the tools and by the worker, before the first use of
  /// the library.
  ///
  /// In any other process they are the program's, which may use libhdf5 itself.
  nonisolated(unsafe) package static var ownsProcess = false

  private static let setUpFailure: RecurrentError? = {
    do {
      try load(names)
    } catch {
      return error as? RecurrentError
    }
    var (major, minor, release): (UInt32, UInt32, UInt32) = (0, 0, 0)
    // H5dont_atexit must come first; files are closed by their owners, not by an exit handler.
    if ownsProcess { _ = H5dont_atexit() }
    guard H5get_libversion(&major, &minor, &release) >= 0, (major, minor) >= oldest else {
      return RecurrentError(
        .hdf5LibraryVersion, found: "libhdf5 \(major).\(minor).\(release)",
        expected: "libhdf5 \(oldest.major).\(oldest.minor) or newer",
        hint: "Install a newer libhdf5.")
    }
    guard ownsProcess else { return nil }
    // No plugin may decide what a file's content makes us run, and no link what we open.
    let linkTypeExternal = H5L_type_t(rawValue: 64)
    guard H5open() >= 0, H5PLset_loading_state(0) >= 0, H5Lunregister(linkTypeExternal) >= 0 else {
      return RecurrentError(
        .hdf5LibrarySetup, found: "libhdf5 refused its safety settings")
    }
    return nil
  }()

  /// Passes a handle or status on, or throws what the library said.
  @discardableResult
  package static func check<Status: SignedInteger>(
    _ status: Status, _ action: String, at place: String? = nil
  ) throws -> Status {
    guard status < 0 else { return status }
    let text = chdf5_error_text().map { String(cString: $0) } ?? "no reason given"
    if ["bad version", "version number", "unknown version"].contains(where: text.contains) {
      throw RecurrentError(
        .hdf5Newer, at: place, found: "libhdf5 cannot \(action): \(text)",
        expected: "a file that HDF5 1.10 can read",
        hint: "A newer HDF5 wrote the file (or it is damaged); rewrite it with libver=\"v110\".")
    }
    throw RecurrentError(
      .hdf5Library, at: place, found: "libhdf5 cannot \(action): \(text)",
      expected: "an undamaged HDF5 file")
  }
}

/// A recursive lock.
private final class HDF5Lock: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

  init() {
    var attributes = pthread_mutexattr_t()
    pthread_mutexattr_init(&attributes)
    pthread_mutexattr_settype(&attributes, Int32(PTHREAD_MUTEX_RECURSIVE))
    pthread_mutex_init(mutex, &attributes)
    pthread_mutexattr_destroy(&attributes)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  func acquire() { pthread_mutex_lock(mutex) }
  func release() { pthread_mutex_unlock(mutex) }
}

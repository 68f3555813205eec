import Bytes
import HostSystem
import Tensors

/// The parent's side: a worker that has one file open for as long as somebody reads from it.
package final class HDF5WorkerClient: @unchecked Sendable {
  private let file: InputFile
  private let socket: Int32
  private let lock = Lock()
  // Guarded by the lock.
  private var process: pid_t
  private var death: RecurrentError?

  /// Starts a worker; throws `h5.worker-start` when the system refuses.
  package init(_ file: InputFile, executable: String) throws {
    self.file = file
    guard file.isSameFile(as: file.path) else {
      throw RecurrentError(
        .fileChanged, found: "the path names another file than the one opened",
        expected: "a file that nobody replaces")
    }
    // Nothing in the environment may steer libhdf5.
    let started = ChildProcess.start(
      executable, arguments: [HDF5Worker.argument, file.path, String(60 + file.count >> 24)],
      environment: ["SWIFT_BACKTRACE=enable=no"] + loaderEnvironment())
    switch started {
    case .success(let child): (process, socket) = (child.identifier, child.socket)
    case .failure(let failure):
      throw RecurrentError(
        .hdf5WorkerStart, found: systemMessage(failure.code),
        expected: "a process in which libhdf5 can read the file")
    }
  }

  deinit {
    close(socket)
    if process > 0 {
      kill(process, SIGKILL)
      var status: Int32 = 0
      waitpid(process, &status, 0)
    }
  }

  /// Ends the worker; what is read from it afterwards is an error.
  package func stop() {
    if process > 0 { kill(process, SIGKILL) }
  }

  /// What the file holds; datasets that are not windows on it are read through the worker.
  package func contents() throws -> HDF5Contents {
    let bytes = try lock.withLock { try answer(limit: HDF5Limit.metadataBytes) }
    guard file.isSameFile(as: file.path) else {
      throw RecurrentError(
        .fileChanged, found: "the path names another file than the one opened",
        expected: "a file that nobody replaces")
    }
    do {
      return try HDF5WorkerWire.contents(bytes, of: file) { node, count in
        HDF5WorkerSource(client: self, node: node, count: count)
      }
    } catch is RecurrentError {
      throw Self.nonsense
    }
  }

  fileprivate func read(_ node: Int, at offset: Int, count: Int) throws -> [UInt8] {
    try lock.withLock {
      var request: [UInt8] = []
      for number in [node, offset, count] {
        withUnsafeBytes(of: UInt64(number).littleEndian) { request += $0 }
      }
      guard SocketMessages.write(socket, request) else { throw buried() }
      let bytes = try answer(limit: count)
      guard bytes.count == count else { throw Self.nonsense }
      return bytes
    }
  }

  private func answer(limit: Int) throws -> [UInt8] {
    guard let head = SocketMessages.read(socket, 9) else { throw buried() }
    var cursor = HDF5Cursor(head, at: 0, offsetSize: 8, lengthSize: 8)
    let isError = try cursor.u8() != 0
    guard let count = try? cursor.int(8), count <= (isError ? 1 << 20 : limit) else {
      throw Self.nonsense
    }
    guard let bytes = SocketMessages.read(socket, count) else { throw buried() }
    guard isError else { return bytes }
    guard let error = try? HDF5WorkerWire.error(bytes) else { throw Self.nonsense }
    throw error
  }

  /// What became of a worker that answers no more.
  private func buried() -> RecurrentError {
    if let death { return death }
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0, errno == EINTR {}
    process = 0
    let signal = status & 0x7F
    let isTime = signal == SIGXCPU || signal == SIGKILL
    let end = signal == 0 ? "exit status \(status >> 8 & 0xFF)" : "signal \(signal)"
    let error = RecurrentError(
      .hdf5Worker,
      found: isTime
        ? "libhdf5 took too long over this file and was stopped (\(end))"
        : "libhdf5 crashed reading this file (\(end))",
      expected: "an undamaged HDF5 file", hint: "Treat the file as damaged or hostile.")
    death = error
    return error
  }

  private static let nonsense = RecurrentError(
    .hdf5Worker, found: "libhdf5's process gave an answer that makes no sense",
    expected: "an undamaged HDF5 file", hint: "Treat the file as damaged or hostile.")
}

/// The elements of a dataset that the worker decodes.
private struct HDF5WorkerSource: ByteSource {
  let client: HDF5WorkerClient
  let node: Int
  let count: Int

  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    var done = 0
    while done < buffer.count {
      let length = min(buffer.count - done, 8 << 20)
      let bytes = try client.read(node, at: offset + done, count: length)
      bytes.withUnsafeBytes {
        UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + length]).copyMemory(from: $0)
      }
      done += length
    }
  }
}

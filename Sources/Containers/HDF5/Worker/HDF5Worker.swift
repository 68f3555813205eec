// Valid files that our own reader does not know go to libhdf5, which crashes on some damaged files and
// so never runs in the process that asked: the executable starts itself again as a worker that can
// read that one file and nothing else, and answers over a socket.
//
//   worker → parent   0 · contents (HDF5WorkerWire), or 1 · error; both as u64 length · bytes
//   parent → worker   u64 node · u64 offset · u64 length
//   worker → parent   0 · u64 length · bytes, or 1 · u64 length · error
//
// A worker that dies is an error about the file.

import CHDF5
import Tensors

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// The process in which libhdf5 reads what our own reader does not know.
public enum HDF5Worker {
  /// What stands as the first argument of a worker; the second is the file, the third its CPU seconds.
  package static let argument = "--recurrent-hdf5-worker"
  private static let setting = Setting()

  private final class Setting: @unchecked Sendable {
    let lock = Lock()
    var executable: String?
  }

  /// The executable that can serve as a worker, or `nil`: then such files are refused.
  package static var executable: String? {
    get { setting.lock.withLock { setting.executable } }
    set { setting.lock.withLock { setting.executable = newValue } }
  }

  /// Serves as a worker, and never returns, when this process was started as one; returns otherwise.
  ///
  /// A program that calls this first thing in its `main` can read, in a confined process, HDF5 files
  /// with features that Recurrent's own reader does not have. Without the call they are refused.
  public static func serveIfAsked() {
    let arguments = CommandLine.arguments
    guard arguments.count == 4, arguments[1] == argument else {
      executable = ownPath()
      return
    }
    exit(HDF5WorkerServer.serve(path: arguments[2], seconds: Int(arguments[3]) ?? 60))
  }

  private static func ownPath() -> String? {
    #if canImport(Darwin)
      var size: UInt32 = 4096
      var buffer = [CChar](repeating: 0, count: Int(size))
      guard _NSGetExecutablePath(&buffer, &size) == 0 else { return nil }
      return String(decoding: bytes(of: buffer), as: UTF8.self)
    #else
      return "/proc/self/exe"
    #endif
  }
}

/// The worker's side.
package enum HDF5WorkerServer {
  /// The socket to the parent.
  private static let socket: Int32 = 0

  package static func serve(path: String, seconds: Int) -> Int32 {
    confine(path: path, seconds: seconds)
    do {
      let contents = try HDF5LibraryFile(InputFile(path: path)).contents()
      guard answer(0, HDF5WorkerWire.encode(contents)) else { return 0 }
      while let request = HDF5WorkerSocket.read(socket, 24) {
        var cursor = HDF5Cursor(request, at: 0, offsetSize: 8, lengthSize: 8)
        let (node, offset, length) = (try cursor.int(8), try cursor.int(8), try cursor.int(8))
        guard let source = contents.source(ofNode: node) else { return 70 }
        do {
          let (end, overflow) = offset.addingReportingOverflow(length)
          guard !overflow, end <= source.count else { return 70 }
          guard answer(0, try source.read(offset..<end)) else { return 0 }
        } catch let error as RecurrentError {
          guard answer(1, HDF5WorkerWire.encode(error)) else { return 0 }
        }
      }
      return 0
    } catch let error as RecurrentError {
      _ = answer(1, HDF5WorkerWire.encode(error))
      return 0
    } catch {
      return 70
    }
  }

  private static func answer(_ status: UInt8, _ bytes: [UInt8]) -> Bool {
    let size = withUnsafeBytes(of: UInt64(bytes.count).littleEndian, Array.init)
    return HDF5WorkerSocket.write(socket, [status] + size) && HDF5WorkerSocket.write(socket, bytes)
  }

  /// From here on: this one file, little memory and time, no new files, processes or privileges.
  private static func confine(path: String, seconds: Int) {
    #if canImport(Glibc)
      func limit(_ resource: __rlimit_resource, _ value: Int) {
        var limit = rlimit(rlim_cur: rlim_t(value), rlim_max: rlim_t(value))
        setrlimit(__rlimit_resource_t(resource.rawValue), &limit)
      }
      limit(RLIMIT_AS, 4 << 30)
    #else
      func limit(_ resource: Int32, _ value: Int) {
        var limit = rlimit(rlim_cur: rlim_t(value), rlim_max: rlim_t(value))
        setrlimit(resource, &limit)
      }
    #endif
    limit(RLIMIT_CPU, seconds)
    limit(RLIMIT_FSIZE, 0)
    limit(RLIMIT_CORE, 0)
    limit(RLIMIT_NOFILE, 64)
    // libhdf5's one-time setup must come before files are out of reach; landlock is Linux's alone.
    _ = try? HDF5Library.locked {}
    _ = chdf5_confine(path)
  }
}

extension HDF5Contents {
  /// The elements of the dataset that is the node at `index`.
  package func source(ofNode index: Int) -> (any ByteSource)? {
    guard nodes.indices.contains(index), case .dataset(let dataset) = nodes[index].object else {
      return nil
    }
    return dataset.source
  }
}

/// Whole messages over a socket, whose other end may vanish.
package enum HDF5WorkerSocket {
  /// Reads exactly `count` bytes, or `nil` when the other end is gone.
  package static func read(_ socket: Int32, _ count: Int) -> [UInt8]? {
    var isWhole = true
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      while initialized < count {
        let got = recv(socket, buffer.baseAddress.map { $0 + initialized }, count - initialized, 0)
        if got < 0 && errno == EINTR { continue }
        guard got > 0 else {
          isWhole = false
          return
        }
        initialized += got
      }
    }
    return isWhole ? bytes : nil
  }

  /// Writes everything; `false` when the other end is gone, which raises no signal.
  package static func write(_ socket: Int32, _ bytes: [UInt8]) -> Bool {
    #if canImport(Darwin)
      let flags: Int32 = 0
    #else
      let flags = Int32(MSG_NOSIGNAL)
    #endif
    var done = 0
    while done < bytes.count {
      let sent = bytes.withUnsafeBytes {
        send(socket, $0.baseAddress.map { $0 + done }, bytes.count - done, flags)
      }
      if sent < 0 && errno == EINTR { continue }
      guard sent > 0 else { return false }
      done += sent
    }
    return true
  }
}

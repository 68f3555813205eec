// Valid files that our own reader does not know go to libhdf5, which crashes on some damaged files and
// so never runs in the process that asked: the executable starts itself again as a worker that can
// read that one file and nothing else, and answers over a socket.
//
//   worker → parent   0 · contents (HDF5WorkerWire), or 1 · error; both as u64 length · bytes
//   parent → worker   u64 node · u64 offset · u64 length
//   worker → parent   0 · u64 length · bytes, or 1 · u64 length · error
//
// A worker that dies is an error about the file.

import Bytes
import CHDF5
import HostSystem
import Tensors

/// The process in which libhdf5 reads what our own reader does not know.
package enum HDF5Worker {
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
  package static func serveIfAsked() {
    let arguments = CommandLine.arguments
    guard arguments.count == 4, arguments[1] == argument else {
      executable = ownExecutablePath()
      return
    }
    exit(HDF5WorkerServer.serve(path: arguments[2], seconds: Int(arguments[3]) ?? 60))
  }
}

extension WeightFormat {
  /// Lets this program read, in a confined process that it starts itself, HDF5 files with features that
  /// Recurrent's own reader does not have; without the call they are refused.
  ///
  /// To be called first thing in `main`: in the confined process it serves the file and never returns.
  public static func serveHDF5IfAsked() { HDF5Worker.serveIfAsked() }
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
      while let request = SocketMessages.read(socket, 24) {
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
    return SocketMessages.write(socket, [status] + size) && SocketMessages.write(socket, bytes)
  }

  /// From here on: this one file, little memory and time, no new files, processes or privileges.
  private static func confine(path: String, seconds: Int) {
    limitResources(seconds: seconds)
    HDF5Library.ownsProcess = true
    // libhdf5's one-time setup must come before files are out of reach; landlock is Linux's alone.
    _ = try? HDF5Library.locked {}
    _ = system_confine(path)
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

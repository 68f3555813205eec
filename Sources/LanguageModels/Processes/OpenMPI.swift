// Open MPI, found when the program runs: nothing is linked and nothing is asked of who trains alone.
// Its handles are the addresses of global objects, so no header is needed.

import HostSystem
import RNNEngine
import Tensors

/// The processes that `mpirun -n K` of Open MPI started.
package final class OpenMPI: TrainingProcesses {
  /// Which of them this is, from 0.
  package let rank: Int
  /// How many there are.
  package let count: Int
  private let functions: Functions

  private typealias Handle = UnsafeMutableRawPointer

  private typealias Start =
    @convention(c) (UnsafeMutableRawPointer?, UnsafeMutableRawPointer?) -> Int32
  private typealias Ask = @convention(c) (Handle, UnsafeMutablePointer<Int32>) -> Int32
  private typealias Reduce =
    @convention(c) (
      UnsafeRawPointer?, UnsafeMutableRawPointer?, Int32, Handle, Handle, Int32, Handle
    ) -> Int32
  private typealias Broadcast =
    @convention(c) (UnsafeMutableRawPointer?, Int32, Handle, Int32, Handle) -> Int32
  private typealias Gather =
    @convention(c) (
      UnsafeRawPointer?, Int32, Handle, UnsafeMutableRawPointer?, Int32, Handle, Handle
    ) -> Int32
  private typealias Finalize = @convention(c) () -> Int32

  private struct Functions: @unchecked Sendable {
    let reduce: Reduce
    let broadcast: Broadcast
    let gather: Gather
    let finalize: Finalize
    let world, float, double, sum: Handle
  }

  /// The processes of `mpirun`, or `nil` for a program that it did not start or started alone.
  ///
  /// Throws `train.mpi` if `mpirun` started several processes and its library cannot be used.
  package static func launched() throws -> OpenMPI? {
    guard let text = getenv("OMPI_COMM_WORLD_SIZE"), let size = Int(String(cString: text)), size > 1
    else { return nil }
    // Without it, MPI_Init would not find mpirun, and would start a daemon of its own or abort.
    guard getenv("PMIX_NAMESPACE") != nil else {
      throw refusal("\(size) processes announced, and no mpirun that started this one")
    }
    return try OpenMPI(size)
  }

  private init(_ size: Int) throws {
    let names = ["libmpi.so.40", "libmpi.so", "libmpi.40.dylib", "libmpi.dylib"]
    // Its plug-ins look for its symbols among the global ones.
    guard let library = names.lazy.compactMap({ dlopen($0, RTLD_NOW | RTLD_GLOBAL) }).first else {
      throw Self.refusal("no " + names.joined(separator: ", "))
    }
    func symbol(_ name: String) throws -> Handle {
      guard let address = dlsym(library, name) else { throw Self.refusal("no symbol \(name)") }
      return address
    }
    let start = unsafeBitCast(try symbol("MPI_Init"), to: Start.self)
    let askRank = unsafeBitCast(try symbol("MPI_Comm_rank"), to: Ask.self)
    let askSize = unsafeBitCast(try symbol("MPI_Comm_size"), to: Ask.self)
    functions = Functions(
      reduce: unsafeBitCast(try symbol("MPI_Reduce"), to: Reduce.self),
      broadcast: unsafeBitCast(try symbol("MPI_Bcast"), to: Broadcast.self),
      gather: unsafeBitCast(try symbol("MPI_Allgather"), to: Gather.self),
      finalize: unsafeBitCast(try symbol("MPI_Finalize"), to: Finalize.self),
      world: try symbol("ompi_mpi_comm_world"), float: try symbol("ompi_mpi_float"),
      double: try symbol("ompi_mpi_double"), sum: try symbol("ompi_mpi_op_sum"))
    var (rank, count): (Int32, Int32) = (0, 0)
    guard start(nil, nil) == 0, askRank(functions.world, &rank) == 0,
      askSize(functions.world, &count) == 0
    else { throw Self.refusal("a library that does not start") }
    // The library of another Open MPI starts alone.
    guard Int(count) == size else {
      throw Self.refusal("\(count) processes, where mpirun announced \(size)")
    }
    self.rank = Int(rank)
    self.count = Int(count)
  }

  private static func refusal(_ found: String) -> RecurrentError {
    RecurrentError(
      .trainMPI, found: found, expected: "the Open MPI that mpirun belongs to",
      hint: "Install libopenmpi3 (or Homebrew's open-mpi), or start without mpirun.")
  }

  /// Ends the work together; every process calls it once, last.
  package func finish() { _ = functions.finalize() }

  /// Replaces numbers by their mean.
  ///
  /// One process adds and sends the sum to all, so that they cannot drift apart.
  package func average<S: Scalar>(_ values: inout [S]) throws {
    var sums = values
    let type = S.self == Float.self ? functions.float : functions.double
    // Counts are 32-bit integers.
    let most = 1 << 28
    for start in stride(from: 0, to: values.count, by: most) {
      let count = Int32(min(most, values.count - start))
      let status = values.withUnsafeBytes { from in
        sums.withUnsafeMutableBytes { to -> Int32 in
          let offset = start * MemoryLayout<S>.stride
          let (source, target) = (
            from.baseAddress.map { $0 + offset }, to.baseAddress.map { $0 + offset }
          )
          let added = functions.reduce(
            source, target, count, type, functions.sum, 0, functions.world)
          return added != 0 ? added : functions.broadcast(target, count, type, 0, functions.world)
        }
      }
      try check(status)
    }
    let divisor = S(count)
    values = sums.map { $0 / divisor }
  }

  /// The numbers of all processes, those of process 0 first.
  package func gather<S: Scalar>(_ values: [S]) throws -> [S] {
    guard let size = Int32(exactly: values.count) else { throw Self.refusal("too many numbers") }
    let type = S.self == Float.self ? functions.float : functions.double
    var all = [S](repeating: 0, count: count * values.count)
    let status = values.withUnsafeBytes { from in
      all.withUnsafeMutableBytes { to in
        functions.gather(
          from.baseAddress, size, type, to.baseAddress, size, type, functions.world)
      }
    }
    try check(status)
    return all
  }

  private func check(_ status: Int32) throws {
    guard status == 0 else {
      throw RecurrentError(.trainMPIResources, found: "MPI error \(status)")
    }
  }
}

import Containers
import Conversion
import Frameworks
import Networks
import RNNEngine
import Tensors

/// One of two files to be compared.
struct ComparedFile {
  let path: String
  let state: StateDict
  let list: ModuleList
  /// The network that is meant; `nil` where there are several recurrent modules and none is chosen.
  let network: Network?

  init(_ path: String, _ format: WeightFormat?, _ options: ReadOptions) throws {
    self.path = path
    let file = try WeightFile(path: path, format: format)
    state = file.state
    do {
      do {
        (list, network) = try Self.read(file.state, options)
      } catch let error as RecurrentError
        where error.reason == .namesMissing && options.convention != nil
      {
        var plain = options
        plain.convention = nil
        (list, network) = try Self.read(file.state, plain)
      }
    } catch let error as RecurrentError {
      throw error.inFile(path)
    }
  }

  private static func read(
    _ state: StateDict, _ options: ReadOptions
  ) throws -> (ModuleList, Network?) {
    let list = try ModuleList(state, options: options)
    if options.module == nil, list.recurrent.count > 1 { return (list, nil) }
    return (list, try Network(state, Recognition(state, list, options)))
  }

  /// One module alone; throws why it cannot be used.
  func network(of module: Module) throws -> Network {
    do {
      if let refusal = module.refusal { throw refusal }
      return try Network(state, module: module)
    } catch let error as RecurrentError {
      throw error.inFile(path)
    }
  }

  /// Whether the file says how all of its modules are connected.
  var statesConnections: Bool { list.structure?.statesConnections == true }

  /// The connections in an order that does not depend on the file's.
  var paths: [String] { list.connections.map(\.path).sorted() }

  /// What the file assumes of its modules, and what it leaves open.
  var reservations: [Reservation] {
    var result = list.modules.flatMap(\.assumptions).filter { !$0.isAboutLayout }
      .map(Reservation.assumed)
    for connection in list.connections {
      let isHead = list.recurrent.contains { $0.name == connection.from }
      result += Assumption.of(connection, isHead: isHead, isReadsGiven: false)
        .map(Reservation.assumed)
    }
    result += list.surroundings.map { .says($0) }
    if !statesConnections {
      result.append(.says("the file does not say how all of its modules are connected"))
    }
    return result
  }
}

extension Recognition {
  /// A canonical name (`weight_hh_l0`, `head.weight`) with the name of the module that it belongs to.
  func fullName(_ canonical: String) -> String {
    for (prefix, module) in [("head.", head), ("embedding.", embedding)]
    where canonical.hasPrefix(prefix) {
      return (module ?? recurrent).name.asPrefix + canonical.dropFirst(prefix.count)
    }
    return recurrent.name.asPrefix + canonical
  }
}

/// Two networks with what one of them leaves open taken from the other, and what that is.
struct NetworkPair {
  var left: Architecture
  var right: Architecture
  let modules: [String]
  private(set) var reservations: (first: [Reservation], second: [Reservation])
  private(set) var allowances: [String] = []

  init(_ first: Network, _ second: Network) {
    left = first.architecture
    right = second.architecture
    var names = first.recognition.modules.map(\.name)
    reservations = (first.reservations, second.reservations)
    if left.batchFirst != right.batchFirst, first.knowsLayout, second.knowsLayout {
      reservations.first.append(Self.layout(left))
      reservations.second.append(Self.layout(right))
    }
    right.batchFirst = left.batchFirst
    if left.dropout != right.dropout {
      allowances.append(
        "dropout \(left.dropout) against \(right.dropout): it acts in training only")
      right.dropout = left.dropout
    }
    right.embedding?.paddingIndex = left.embedding?.paddingIndex
    // What follows or precedes the module in one file only is no difference where the other does not say.
    if (left.head == nil) != (right.head == nil),
      !(left.head == nil ? first : second).statesConnections
    {
      if let head = first.recognition.head { names.removeAll { $0 == head.name } }
      (left.head, right.head) = (nil, nil)
    }
    if (left.embedding == nil) != (right.embedding == nil),
      !(left.embedding == nil ? first : second).statesConnections
    {
      if let table = first.recognition.embedding { names.removeAll { $0 == table.name } }
      (left.embedding, right.embedding) = (nil, nil)
    }
    modules = names
    let isAssumed = { (network: Network, code: String) in
      network.recognition.assumptions.contains { $0.code == code }
    }
    if let one = left.head?.reads, let other = right.head?.reads,
      left.reads(one, sameAs: other) || isAssumed(first, "head_reads")
        || isAssumed(second, "head_reads")
    {
      right.head?.reads = one
    }
    if left.head?.activation != right.head?.activation,
      !first.statesConnections || !second.statesConnections
    {
      for (network, side) in [(first, 0), (second, 1)] where !network.statesConnections {
        let line = Reservation.says("the file does not say what stands behind the head")
        if side == 0 { reservations.first.append(line) } else { reservations.second.append(line) }
      }
      right.head?.activation = left.head?.activation
    }
    if left.cell != right.cell,
      isAssumed(first, "nonlinearity") || isAssumed(second, "nonlinearity")
    {
      right.cell = left.cell
    }
  }

  private static func layout(_ architecture: Architecture) -> Reservation {
    .says("x and output are " + (architecture.batchFirst ? "(N, T, features)" : "(T, N, features)"))
  }
}

import CommandSupport
import Parity
import Recurrent

/// Everything that is known about one file.
struct Inspection {
  /// One tensor with what was found about it.
  struct Row {
    let entry: (name: Name, tensor: Tensor)
    let tie: Name?
    let isForeign: Bool
    let statistics: TensorStatistics?
    let histogram: Histogram?
  }

  let weights: WeightFile
  /// Everything that the file holds; `nil` when its metadata contradict the tensors.
  let list: ModuleList?
  /// The network, when there is exactly one and it can be used.
  let network: Recognition?
  /// Why there is no network.
  let obstacle: RecurrentError?
  let previews: [ConversionPreview]
  let rows: [Row]
  /// What a names file could say, where shapes look like modules under other names.
  let draft: NamesDraft

  var modules: [Module] { list?.modules ?? [] }

  init(_ weights: WeightFile, reading: ReadOptions, statistics: Bool, _ bar: ProgressBar) throws {
    self.weights = weights
    let state = weights.state
    var list: ModuleList?
    var network: Recognition?
    var obstacle: RecurrentError?
    do {
      let found = try ModuleList(state, options: reading)
      list = found
      network = try Recognition(state, found, reading)
    } catch let error as RecurrentError {
      // Tensors that are no network are still worth listing; only say why they are none.
      obstacle = error
    }
    self.list = list
    self.network = network
    self.obstacle = obstacle
    draft = NamesDraft(state, among: list?.others ?? state.names)
    previews = try ConversionPreview.all(of: weights, reading: reading)
    let own = Set((list?.modules ?? []).flatMap(\.tensorNames))
    var numbers: [TensorStatistics] = []
    var histograms: [Histogram] = []
    if statistics {
      // The second pass needs to know from where to where the numbers go.
      let size = state.byteCount
      for entry in try ReadMeter("reading", total: size, bar).watch(state).entries {
        numbers.append(try TensorStatistics(entry.tensor))
      }
      let watched = try ReadMeter("counting", total: size, bar).watch(state).entries
      for (entry, numbers) in zip(watched, numbers) {
        histograms.append(try Histogram(entry.tensor, numbers))
      }
    }
    rows = state.entries.enumerated().map { position, entry in
      Row(
        entry: entry, tie: state.ties[entry.name],
        isForeign: !own.isEmpty && !own.contains(entry.name),
        statistics: statistics ? numbers[position] : nil,
        histogram: statistics ? histograms[position] : nil)
    }
  }

  /// The parameters of all modules that can be used.
  var parameterCount: Int {
    rows.reduce(0) { $0 + ($1.isForeign ? 0 : $1.entry.tensor.elementCount) }
  }
}

import CommandSupport
import Recurrent
import Reports

/// What is in a weight file as one page of HTML.
enum PageReport {
  static func html(_ inspection: Inspection) throws -> String {
    let state = inspection.weights.state
    var page = Page("rnn-inspect: \(inspection.weights.file.path)")
    page.table(
      "What is in the file", head: ["fact", "value"],
      rows: (inspection.factsBefore + inspection.factsBehind).map { row in row.map { .text($0) } })
    for remark in inspection.remarks { page.note(remark) }
    if !inspection.modules.isEmpty {
      page.table(
        "Modules, and how each is known", head: ["module", "what it is", "convention", "known by"],
        rows: inspection.modules.map { module in
          [
            .text(module.name.isEmpty ? "(no name)" : module.name), .text(module.what),
            .text(module.convention.name), .text(inspection.evidence(of: module)),
          ]
        })
    }
    page.table(
      "Tensors",
      head: ["name", "type", "shape", "elements", "smallest", "largest", "mean", "norm", "NaN"],
      rows: inspection.rows.map { row in
        let numbers = row.statistics.map {
          $0.words + [grouped($0.nanCount)]
        }
        return [
          .text(row.entry.name.string), .text(row.entry.tensor.dtype.rawValue),
          .text("\(row.entry.tensor.shape)"), .number(grouped(row.entry.tensor.elementCount)),
        ] + (numbers ?? Array(repeating: "–", count: 5)).map { .number($0) }
      })
    if let recognition = inspection.network {
      page.beginSection("Spectra of the recurrent matrices")
      let figures = try spectra(recognition, state)
      page.note(
        figures.isEmpty
          ? "None: the matrices are not square (projections), hold NaN, or are larger than"
            + " \(RNN<Double>.largestSpectrum)."
          : "Without the non-linearity a gradient changes by the spectral radius per step after"
            + " many steps: above 1 it explodes, below 1 it vanishes.")
      page.figures(figures)
      page.endSection()
    }
    page.beginSection("How the weights are spread")
    page.figures(try state.histograms())
    page.endSection()
    if !state.metadata.isEmpty {
      page.table(
        "Metadata", head: ["key", "value"],
        rows: state.metadata.pairs.map { [.text($0.key), .text($0.value)] })
    }
    return page.html
  }

  private static func spectra(_ recognition: Recognition, _ state: StateDict) throws -> [Figure] {
    do {
      return try Network(state).spectra()
    } catch let error as RecurrentError where error.reason == .engineNotFinite {
      // NaN weights are worth a look all the more; they just have no spectrum.
      return []
    }
  }
}

import Foundation
import Parity
import Recurrent
import Reports
import TestSupport
import Testing

#if canImport(FoundationXML)
  import FoundationXML
#endif

@Suite("Figures show what was measured, and are valid pages")
struct FigureTests {
  static let hostile = "</title><script>alert(1)</script>&\"\u{202E}\u{1B}[31m"

  static func figures() -> [Figure] {
    let wild: [Double] = [1, .nan, .infinity, -.infinity, 0, 1e300, -1e300, .leastNonzeroMagnitude]
    var named = HeatMap(
      "named", description: "d", axes: ("x", "y"), columns: [wild, wild], palette: .signed)
    (named.rowNames, named.columnNames, named.marked) = ([hostile], [hostile, hostile], (1, 2))
    var banded = LineChart(
      "band", description: "d", axes: ("x", "y"), series: [.init("a", wild, at: wild)],
      mark: (hostile, 3))
    banded.band = wild.map { ($0, -1, $0) }
    return [
      named.figure, banded.figure, banded.wideFigure,
      HeatMap(
        "tolerance", description: "d", axes: ("x", "y"), columns: [wild], palette: .tolerance
      ).figure,
      ScatterPlot(
        "classes", description: "d", axes: ("x", "y"), points: wild.map { (1, $0) }, names: [],
        classes: [hostile, "a", "b"]
      ).figure,
      LineChart(
        hostile, description: hostile, axes: (hostile, hostile),
        series: [.init(hostile, wild), .init("empty", [])], limit: ("limit", 3)
      ).figure,
      LineChart(
        "log", description: "d", axes: ("x", "y"), series: [.init("a", wild)], isLogarithmic: true
      ).figure,
      LineChart("none", description: "d", axes: ("x", "y"), series: []).figure,
      HeatMap(hostile, description: "d", axes: ("x", "y"), columns: [wild, [], [0.5]]).figure,
      HeatMap("none", description: "d", axes: ("x", "y"), columns: []).figure,
      HistogramChart(hostile, counts: [0, 3, 1], range: (-2, 5)).figure,
      HistogramChart("narrow", counts: [4], range: (1, Double(1).nextUp)).figure,
      HistogramChart(
        "wide", counts: [1, 1],
        range: (-Double.greatestFiniteMagnitude, Double.greatestFiniteMagnitude)
      ).figure,
      ScatterPlot(
        hostile, description: "d", axes: ("x", "y"), points: wild.map { ($0, 1) }, names: [hostile],
        isPath: true
      ).figure,
      ScatterPlot(
        "none", description: "d", axes: ("x", "y"), points: [], names: [], hasUnitCircle: true
      ).figure,
    ]
  }

  @Test func everyFileIsWellFormedAndHasATitle() throws {
    for figure in Self.figures() {
      let reader = Reader()
      let parser = XMLParser(data: Data(figure.file.utf8))
      parser.delegate = reader
      #expect(parser.parse(), "\(figure.title): \(String(describing: parser.parserError))")
      #expect(reader.elements.first == "svg")
      #expect(reader.elements.contains("title"))
      #expect(!reader.elements.contains("script"))
      #expect(reader.attributes.allSatisfy { !$0.contains("nan") && !$0.contains("inf") })
      #expect(!figure.file.contains("\u{1B}") && !figure.file.contains("\u{202E}"))
    }
  }

  @Test func aLineGoesThroughItsPoints() {
    let chart = LineChart(
      "t", description: "d", axes: ("x", "y"), series: [.init("a", [0, 10, .nan, 5])])
    let text = chart.figure.inline
    // From 0 to 10 over the whole height, and a gap where there is no number.
    #expect(text.contains("d=\"M70 180L156.67 34M330 107\""))
    #expect(text.contains("<title>a, x 1: 10</title>"))
  }

  @Test func theDepthOfAHeatMapIsItsValue() {
    let map = HeatMap("t", description: "d", axes: ("x", "y"), columns: [[0.2, 0.8], [0.4, 0]])
    let depths = cells(of: map).map(\.depth)
    #expect(depths == ["0.28", "1", "0.52", "0.04"])
  }

  /// The style and the depth of every cell, not those of the scale.
  private func cells(of map: HeatMap) -> [(style: String, depth: String)] {
    map.figure.inline.components(separatedBy: "<rect class=\"").dropFirst()
      .filter { $0.contains("\"><title>") }.map { text in
        let parts = text.components(separatedBy: "\"")
        let depth = (parts.firstIndex(of: " fill-opacity=") ?? 0) + 1
        return (parts[0], parts[depth])
      }
  }

  @Test func colourSaysSignAndTolerance() {
    let values = [[0.5, -1, .nan, 0]]
    let signed = HeatMap(
      "t", description: "d", axes: ("x", "y"), columns: values, palette: .signed)
    #expect(cells(of: signed).map(\.style) == ["cell", "cell below", "nothing", "cell"])
    #expect(cells(of: signed).map(\.depth) == ["0.52", "1", "0", "0.04"])
    let far = HeatMap(
      "t", description: "d", axes: ("x", "y"), columns: [[0, 1, 10, 100, .infinity]],
      palette: .tolerance)
    #expect(
      cells(of: far).map(\.style) == [
        "cell within", "cell within", "cell over", "cell over", "cell over",
      ])
    #expect(cells(of: far).map(\.depth) == ["0.06", "0.36", "0.68", "1", "1"])
    let shared = HeatMap("t", description: "d", axes: ("x", "y"), columns: [[1]], reach: 4)
    #expect(cells(of: shared).map(\.depth) == ["0.28"])
  }

  @Test func classesAreCalledByTheirNames() {
    var map = HeatMap("t", description: "d", axes: ("x", "class"), columns: [[1, 2, 3]])
    map.rowNames = ["e", "<b>", "a very long name"]
    let text = map.figure.inline
    #expect(text.contains(">e</text>") && text.contains(">&lt;b&gt;</text>"))
    #expect(text.contains(">a very long…</text>"))
    #expect(text.contains("class a very long name: 3"))
    let plot = ScatterPlot(
      "t", description: "d", axes: ("x", "y"), points: [(0, 0), (1, 1), (2, 0)],
      names: ["step 0", "step 1", "step 2"], classes: ["l", "o", "l"], isPath: true
    ).figure.inline
    #expect(plot.contains(">l (first)</text>") && plot.contains(">o</text>"))
    #expect(plot.contains("<title>step 1, o</title>"))
    // Equal classes have equal colours.
    #expect(plot.components(separatedBy: "class=\"dot one\"").count == 3)
    #expect(plot.components(separatedBy: "class=\"dot two\"").count == 2)
  }

  @Test func typeHasOneSizeBecauseDrawingsKeepTheirs() {
    var page = Page("t")
    page.figures(Self.figures())
    // A phone's page is at least as wide; wider drawings have a narrow twin.
    for figure in Self.figures() {
      #expect(figure.size.width == 344 || figure.size.width == 704)
      #expect(!figure.file.contains("font-size"))
    }
    #expect(page.html.components(separatedBy: "class=\"double\"").count == 2)
    #expect(page.html.contains("if-narrow") && page.html.contains("if-wide"))
  }

  @Test func axesHaveTicksWithLabels() {
    let chart = LineChart("t", description: "d", axes: ("x", "y"), series: [.init("a", [0, 1e6])])
    let text = chart.figure.inline
    let ticks = text.components(separatedBy: "class=\"tick\"").count - 1
    #expect(ticks == 12)
    #expect(text.contains(">2e5</text>") && text.contains(">0.2</text>"))
  }

  @Test func aPageFetchesNothingAndEscapesNames() {
    var page = Page(Self.hostile)
    page.verdict("fine", isGood: true)
    page.beginSection(Self.hostile, id: "a\"b")
    page.note(Self.hostile)
    page.table(
      Self.hostile, head: ["name", "n"],
      rows: [[.text(Self.hostile), .number("1")], [.link(Self.hostile, id: "\"x"), .share(2.5)]])
    page.figures(Self.figures())
    page.endSection()
    let html = page.html
    #expect(!html.contains("<script") && !html.contains("\u{1B}"))
    #expect(html.contains("default-src 'none'"))
    for fetching in ["src=", "@import", "url(", "<link"] { #expect(!html.contains(fetching)) }
    #expect(html.contains("<th scope=\"row\">") && html.contains("<caption>"))
    #expect(html.contains("class=\"meter over\"") && html.contains("</span> 2.5</td>"))
    #expect(html.contains("prefers-color-scheme:dark"))
  }

  @Test func aFixtureAndANetworkHaveTheirDrawings() throws {
    let fixture = try Fixture(WeightFile(path: Checkout.fixture("torch/ce-lstm.npz")).state)
    let portrait = try fixture.portrait()
    #expect(
      portrait.figures.map(\.title) == [
        "Output probabilities over time", "Hidden states, principal components",
        "Hidden states, t-SNE", "Gradient norm per time step",
      ])
    #expect(portrait.probabilities.allSatisfy { abs($0.reduce(0, +) - 1) < 1e-6 })
    #expect(portrait.gradientNorms.count == portrait.states.count)
    let file = try WeightFile(path: Checkout.fixture("checkpoints/char-rnn.pt"))
    #expect(try file.state.histograms().count == 10)
    let spectra = try Network(file.state).spectra()
    #expect(spectra.map(\.title) == ["weight_hh_l0", "weight_hh_l1"])
  }

  @Test func gradientNormsAreThoseOfDocumentD4() throws {
    let fixture = try Fixture(
      WeightFile(path: Checkout.fixture("documents/d4/explosion.npz")).state)
    let norms = try fixture.portrait().gradientNorms
    // The document goes backwards: its list is this one reversed.
    let printed = [1.41226324, 2.71608147, 6.59451059, 14.66020158, 35.76324737]
    for (ours, theirs) in zip(norms.reversed(), printed) {
      #expect(abs(ours - theirs) <= 1e-7 * theirs)
    }
  }
}

private final class Reader: NSObject, XMLParserDelegate {
  var elements: [String] = []
  var attributes: [String] = []

  func parser(
    _ parser: XMLParser, didStartElement name: String, namespaceURI: String?,
    qualifiedName: String?, attributes found: [String: String]
  ) {
    elements.append(name)
    for (key, value) in found where key != "aria-label" { attributes.append(value.lowercased()) }
  }
}

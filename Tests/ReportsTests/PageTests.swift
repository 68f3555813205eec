import Foundation
import Recurrent
import Reports
import Testing

#if canImport(FoundationXML)
  import FoundationXML
#endif

@Suite("Pages are well-formed, readable in light and dark, and need nothing else")
struct PageTests {
  /// A page with everything that a page can have.
  static func page() -> Page {
    var page = Page(FigureTests.hostile)
    page.verdict("fine", isGood: true)
    page.beginFold(
      FigureTests.hostile, verdict: ("FAILS", false), more: "5 tensors", id: "fixture-0",
      isOpen: true, isHeading: true)
    page.note(FigureTests.hostile)
    page.table(
      FigureTests.hostile, head: ["name", "result", "n"],
      rows: [[.text("grads/a.b_c"), .verdict("passes", isGood: true), .times(0.5)]],
      becomesBlocks: true)
    page.heading("expected beside computed")
    page.figures(FigureTests.figures())
    page.beginFold("inside")
    page.endFold()
    page.endFold()
    page.beginFold("passes.npz", verdict: ("passes", true))
    page.table(
      "wide", head: ["a", "b", "c", "d", "e", "f"], rows: [[.link("x/y", id: "fixture-0")]])
    page.endFold()
    page.beginSection("Samples")
    page.quote("one\n\(FigureTests.hostile)\n  two", about: "after step 1")
    page.endSection()
    return page
  }

  @Test func thePageIsWellFormedXML() {
    let parser = XMLParser(data: Data(Self.page().html.utf8))
    #expect(parser.parse(), "\(String(describing: parser.parserError))")
  }

  @Test func foldsSayWhatIsInsideAndLinksOpenThem() {
    let html = Self.page().html
    #expect(html.contains("<details class=\"fold\" open=\"open\"><summary>"))
    #expect(html.contains("<span class=\"verdict bad\">FAILS</span> <h2>"))
    #expect(html.contains("<span class=\"more\">5 tensors</span></summary><div id=\"fixture-0\">"))
    #expect(
      html.contains(
        "<details class=\"fold\"><summary><span class=\"verdict good\">passes</span> passes.npz"))
    #expect(html.contains("<a href=\"#fixture-0\">x/<wbr/>y</a>"))
  }

  @Test func rowsBecomeBlocksWithTheirLabelsOnANarrowScreen() {
    let html = Self.page().html
    #expect(html.components(separatedBy: "<table class=\"blocks\">").count == 3)
    #expect(
      html.contains("<td class=\"number\" data-label=\"n\"><span class=\"good\">0.5</span></td>"))
    #expect(html.contains(".blocks td::before{content:attr(data-label)"))
    #expect(html.contains("grads/<wbr/>a.<wbr/>b_<wbr/>c"))
  }

  @Test func quotesKeepTheirLinesAndNothingElse() {
    let html = Self.page().html
    #expect(html.contains("<pre>one\n&lt;/title&gt;") && html.contains("\n  two</pre>"))
    #expect(!html.contains("\u{1B}") && !html.contains("\u{202E}"))
  }

  /// Every colour of words is readable on both grounds, light and dark (WCAG: 4.5), and every line is
  /// visible (3).
  @Test func coloursAreReadable() throws {
    let html = Self.page().html
    let schemes = html.components(separatedBy: "--surface:").dropFirst()
    #expect(schemes.count == 2)
    for scheme in schemes {
      var colours: [String: Double] = [:]
      for rule in ("--surface:" + scheme.prefix { $0 != "}" }).components(separatedBy: ";") {
        let parts = rule.components(separatedBy: ":")
        if parts.count == 2 { colours[parts[0]] = try luminance(parts[1]) }
      }
      #expect(colours.count == 13)
      for ground in ["--surface", "--page"] {
        let below = try #require(colours[ground])
        for name in ["--ink", "--muted", "--good", "--bad", "--one"] {
          #expect(contrast(try #require(colours[name]), below) >= 4.5, "\(name) on \(ground)")
        }
      }
      let surface = try #require(colours["--surface"])
      for name in ["--two", "--three", "--four", "--five", "--six"] {
        #expect(contrast(try #require(colours[name]), surface) >= 3, "\(name)")
      }
    }
  }

  private func luminance(_ colour: String) throws -> Double {
    let number = try #require(Int(colour.dropFirst(), radix: 16))
    let parts = [16, 8, 0].map { shift -> Double in
      let value = Double(number >> shift & 255) / 255
      return value <= 0.04045 ? value / 12.92 : pow((value + 0.055) / 1.055, 2.4)
    }
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
  }

  private func contrast(_ a: Double, _ b: Double) -> Double {
    (max(a, b) + 0.05) / (min(a, b) + 0.05)
  }
}

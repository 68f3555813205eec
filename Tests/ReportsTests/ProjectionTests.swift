import Recurrent
import Reports
import Testing

@Suite("Projections are the same on every run")
struct ProjectionTests {
  @Test func principalComponentsOfAnEllipseAreItsAxes() {
    // Points on an ellipse in a plane of three dimensions; the long axis is (3, 4, 0)/5.
    let rows = (0..<24).map { index -> [Double] in
      let angle = Double(index) * 2 * Double.pi / 24
      let (long, short) = (5 * cosine(angle), 2 * cosine(angle - Double.pi / 2))
      return [0.6 * long - 0.8 * short + 7, 0.8 * long + 0.6 * short - 3, 11]
    }
    let (points, shares) = Projection.principalComponents(rows)
    #expect(abs(shares.0 - 25.0 / 29) < 1e-12)
    #expect(abs(shares.1 - 4.0 / 29) < 1e-12)
    for (index, point) in points.enumerated() {
      let angle = Double(index) * 2 * Double.pi / 24
      #expect(abs(point.x - 5 * cosine(angle)) < 1e-9)
      #expect(abs(abs(point.y) - abs(2 * cosine(angle - Double.pi / 2))) < 1e-9)
    }
  }

  @Test func pointsWithoutExtentGiveZeros() {
    let (points, shares) = Projection.principalComponents([[1, 2], [1, 2], [1, 2]])
    #expect(points.allSatisfy { $0.x == 0 && $0.y == 0 })
    #expect(shares == (0, 0))
    #expect(Projection.tSNE([[1, 2], [3, 4]]).count == 2)
    #expect(Projection.tSNE([[Double]](repeating: [1, 2], count: 6)).allSatisfy { $0.x.isFinite })
  }

  @Test func neighboursStayNeighboursAndTheSeedDecides() {
    var generator = TorchGenerator(seed: 7)
    // Two clouds of different sizes in five dimensions.
    let rows = (0..<30).map { index in
      (0..<5).map { axis in (index < 12 ? 8 : 0) * (axis == 1 ? 1.0 : 0.3) + generator.nextDouble()
      }
    }
    let points = Projection.tSNE(rows, perplexity: 5, seed: 3)
    for (index, point) in points.enumerated() {
      let nearest = points.indices.filter { $0 != index }.min {
        distance(points[$0], point) < distance(points[$1], point)
      }
      #expect(((nearest ?? 99) < 12) == (index < 12))
    }
    let again = Projection.tSNE(rows, perplexity: 5, seed: 3)
    #expect(zip(points, again).allSatisfy { $0 == $1 })
    let other = Projection.tSNE(rows, perplexity: 5, seed: 4)
    #expect(!zip(points, other).allSatisfy { $0 == $1 })
  }

  private func distance(_ a: (x: Double, y: Double), _ b: (x: Double, y: Double)) -> Double {
    (a.x - b.x) * (a.x - b.x) + (a.y - b.y) * (a.y - b.y)
  }

  private func cosine(_ angle: Double) -> Double {
    // The series, so that no module of the platform is needed.
    var (sum, term) = (1.0, 1.0)
    for k in 1...30 {
      term *= -angle * angle / Double((2 * k - 1) * (2 * k))
      sum += term
    }
    return sum
  }
}

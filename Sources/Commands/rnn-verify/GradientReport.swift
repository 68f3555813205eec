import Bytes
import CommandSupport
import Parity
import Recurrent

extension RNNVerify {
  /// `--gradcheck FILE`: finite differences against backpropagation through time.
  func checkGradients() throws -> Int32 {
    let file = try reading.open(paths[0])
    let check: GradientCheck
    do {
      let network =
        Fixture.isFixture(file.state)
        ? try Fixture(file.state).network() : try Network(file.state, options: reading.options())
      check = try GradientCheck(network)
    } catch let error as RecurrentError {
      throw error.inFile(paths[0])
    }
    if json {
      Output.line(
        JSON.object([
          .init(key: "passes", value: .bool(check.passes)),
          .init(key: "bound", value: .number(GradientCheck.bound)),
          .init(
            key: "parameters",
            value: .array(
              check.entries.map { entry in
                .object([
                  .init(key: "name", value: .string(entry.name)),
                  .init(key: "compared", value: .number(entry.compared)),
                  .init(key: "count", value: .number(entry.count)),
                  .init(key: "deviation", value: .number(entry.deviation)),
                ])
              })),
        ]).serialized(pretty: true))
    } else {
      Output.write(
        table(
          check.entries.map {
            [
              escapedForTerminal($0.name), "\(grouped($0.compared)) of \(grouped($0.count))",
              "deviation \(short($0.deviation))",
            ]
          }))
      Output.line(
        check.passes
          ? "gradients agree with finite differences to \(GradientCheck.bound)"
          : "gradients DISAGREE with finite differences")
    }
    return check.passes ? 0 : 1
  }
}

import Bytes
import CommandSupport
import Parity
import Recurrent

extension RNNVerify {
  private typealias Measured = Result<(name: String?, power: FixturePower), RecurrentError>

  /// `--power FIXTURE…`: how small a change of a weight would be noticed?
  func measurePower() throws -> Int32 {
    let files = try fixtureFiles()
    let options = try tolerances()
    let results: [Measured] = inParallel(files.count, jobs: try jobCount()) { index in
      do {
        return .success(try FixturePower.measured(files[index], options: options))
      } catch let error as RecurrentError {
        return .failure(error)
      } catch {
        return .failure(RecurrentError(.faultUnexpected, file: files[index], found: "\(error)"))
      }
    }
    let failed = results.filter { if case .failure = $0 { true } else { false } }.count
    // One named file that cannot be measured is said as an error.
    if results.count == 1, paths == files, !json, case .failure(let error) = results[0],
      error.reason != .parityDifference
    {
      throw error
    }
    if json {
      let fixtures = zip(files, results).map(Self.object)
      Output.line(
        JSON.object([
          .init(key: "measured", value: .number(results.count - failed)),
          .init(key: "failed", value: .number(failed)),
          .init(key: "coarse_from", value: .number(FixturePower.coarseFrom)),
          .init(key: "fixtures", value: .array(fixtures)),
        ]).serialized(pretty: true))
    } else {
      for (file, result) in zip(files, results) { Output.write(Self.text(file, result)) }
      let coarse = results.filter { result in
        if case .success(let measured) = result { !measured.power.advice.isEmpty } else { false }
      }.count
      Output.line(
        "\(counted(results.count - failed, "fixture")) measured"
          + (coarse == 0 ? "" : ", \(coarse) coarse")
          + (failed == 0 ? "" : ", \(failed) FAILED"))
    }
    return failed == 0 ? 0 : 1
  }

  private static func text(_ file: String, _ result: Measured) -> String {
    var text = escapedForTerminal(file) + "\n"
    switch result {
    case .failure(let error):
      return text + "  \(Output.bad("FAIL")) \(error.message)\n"
    case .success(let (_, power)):
      text += table(
        [["weights", "largest", "most visible", "typical", "least visible"]]
          + power.entries.map { entry in
            let least = percent(entry.leastVisible.relative)
            return [
              escapedForTerminal(entry.name), significant(entry.scale),
              percent(entry.mostVisible.relative), percent(entry.typical.relative),
              least + " at \(entry.leastVisible.place.words)"
                + (entry.examinedCount < entry.elementCount
                  ? ", of \(entry.examinedCount) looked at" : ""),
            ]
          })
      let coarse = power.entries.filter(\.isCoarse).map(\.name)
      if !coarse.isEmpty {
        let names = coarse.prefix(4).joined(separator: ", ") + (coarse.count > 4 ? ", …" : "")
        text +=
          "  coarse: a change of \(percent(FixturePower.coarseFrom)) of the largest weight could go unnoticed in "
          + escapedForTerminal(names, limit: 1000) + "\n"
        for line in power.advice { text += "  advice: \(line)\n" }
      }
      return text
    }
  }

  private static func percent(_ share: Double) -> String {
    share.isFinite ? "\(significant(share * 100)) %" : "never"
  }

  private static func object(_ file: String, _ result: Measured) -> JSON {
    func threshold(_ threshold: FixturePower.Threshold) -> JSON {
      .object([
        .init(key: "index", value: .shape(threshold.place.index)),
        .init(key: "gate", value: threshold.place.gate.map { .string($0) } ?? .null),
        // Infinite means never, which JSON has no number for.
        .init(
          key: "change", value: threshold.change.isFinite ? .number(threshold.change) : .null),
        .init(
          key: "relative",
          value: threshold.relative.isFinite ? .number(threshold.relative) : .null),
        .init(key: "noticed_by", value: threshold.noticedBy.map { .string($0) } ?? .null),
      ])
    }
    var members = [JSON.Member(key: "file", value: .string(file))]
    switch result {
    case .failure(let error): members.append(.init(key: "error", value: error.json))
    case .success(let (name, power)):
      members += [
        .init(key: "name", value: name.map { .string($0) } ?? .null),
        .init(key: "error", value: .null),
        .init(
          key: "weights",
          value: .array(
            power.entries.map { entry in
              .object([
                .init(key: "name", value: .string(entry.name)),
                .init(key: "largest", value: .number(entry.scale)),
                .init(key: "elements", value: .number(entry.elementCount)),
                .init(key: "examined", value: .number(entry.examinedCount)),
                .init(key: "most_visible", value: threshold(entry.mostVisible)),
                .init(key: "typical", value: threshold(entry.typical)),
                .init(key: "least_visible", value: threshold(entry.leastVisible)),
              ])
            })),
        .init(key: "coarse", value: .strings(power.entries.filter(\.isCoarse).map(\.name))),
        .init(key: "advice", value: .strings(power.advice)),
      ]
    }
    return .object(members)
  }
}

import Bytes
import Containers
import Foundation
import Tensors
import TestSupport
import Testing

/// Files of the reference implementation, see tools/goldens/make_safetensors.py.
@Suite("Files of the reference implementation of safetensors are read")
struct SafetensorsGoldenTests {
  static let folder = URL(fileURLWithPath: Checkout.golden("safetensors"))

  static func bytes(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: folder.appendingPathComponent(name)))
  }

  @Test(arguments: ["lstm", "gru-f16", "rnn-bf16", "dtypes", "strange", "none", "tied"])
  func readsBitForBitAndWritesTheSameBytes(name: String) throws {
    let file = try Self.bytes("\(name).safetensors")
    let expected = try JSON.parse(Self.bytes("\(name).json"))
    #expect(Safetensors.recognizes(MemorySource(file)))
    let state = try Safetensors.read(MemorySource(file))

    let records = try #require(expected["tensors"]?.arrayValue)
    #expect(state.count == records.count)
    for record in records {
      let key = Name(try #require(record["name"]?.stringValue))
      let tensor = try #require(state[key])
      #expect(tensor.dtype.rawValue == record["dtype"]?.stringValue)
      #expect(tensor.shape == record["shape"]?.arrayValue?.compactMap(\.intValue))
      let hex = try tensor.bytes().map { String(format: "%02x", $0) }.joined()
      #expect(hex == record["hex"]?.stringValue)
    }
    let metadata = state.metadata.pairs.map { JSON.Member(key: $0.key, value: .string($0.value)) }
    #expect(JSON.object(metadata) == expected["metadata"])
    let ties = state.ties.map { JSON.Member(key: $0.key.string, value: .string($0.value.string)) }
    #expect(JSON.object(ties) == expected["ties"])

    let sink = MemorySink()
    try Safetensors.write(state, to: sink)
    #expect(sink.bytes == file)
  }

  @Test(arguments: ["lstm", "gru-f16", "rnn-bf16"])
  func restoresTheOrderOfTheStateDict(name: String) throws {
    let state = try Safetensors.read(MemorySource(Self.bytes("\(name).safetensors")))
    let expected = try JSON.parse(Self.bytes("\(name).json"))
    let names = try #require(expected["tensors"]?.arrayValue).compactMap { $0["name"]?.stringValue }
    #expect(state.names.map(\.string) == names)
  }

  @Test func everyTruncationIsAnError() throws {
    let file = try Self.bytes("tied.safetensors")
    for count in 0..<file.count {
      do {
        _ = try Safetensors.read(MemorySource(Array(file[..<count])))
        Issue.record("accepted \(count) of \(file.count) bytes")
      } catch {
        #expect((error as? RecurrentError)?.kind == .damaged)
      }
    }
  }

  /// Damage must end in an error or in tensors of the declared sizes, never in a trap.
  @Test func everyDamagedHeaderByteIsSurvived() throws {
    let file = try Self.bytes("lstm.safetensors")
    let headerEnd = 8 + Int(file[0]) + Int(file[1]) << 8
    var refused = 0
    for position in 0..<headerEnd {
      for flip: UInt8 in [0x01, 0x10, 0x80] {
        var damaged = file
        damaged[position] ^= flip
        do {
          let state = try Safetensors.read(MemorySource(damaged))
          for entry in state.entries { _ = try entry.tensor.bytes() }
        } catch {
          #expect(error is RecurrentError)
          refused += 1
        }
      }
    }
    #expect(refused > headerEnd)
  }
}

import Foundation
import TestSupport
import Testing

@testable import Bytes
@testable import Tensors

/// What sources, tensors and files refuse, whoever asks.
@Suite("Numbers, views and files that do not fit are refused by name")
struct UnfitTensorTests {
  @Test func numbersThatDoNotFitAreRefused() throws {
    let large = try Tensor(dtype: .u64, shape: [2], bytes: [UInt8](repeating: 0xFF, count: 16))
    #expect(reason { _ = try large.integers() } == "tensor.not-exact")
    #expect(reason { _ = try large.doubles() } == "tensor.not-exact")
    let small = try Tensor(dtype: .u64, shape: [1], bytes: [9, 0, 0, 0, 0, 0, 0, 0])
    #expect(try small.integers() == [9])
    let halves = try Tensor.make([0.5], shape: [1])
    #expect(reason { _ = try halves.integers() } == "tensor.not-integer")
    #expect(reason { _ = try small.rounded(to: .f32) } == "tensor.not-floating")
    #expect(reason { _ = try halves.rounded(to: .i32) } == "tensor.not-floating")
    #expect(reason { _ = try halves.converted(to: .i32) } == "tensor.not-floating")
  }

  @Test func viewsHaveAStrideForEveryAxis() throws {
    let source = MemorySource([UInt8](0..<24))
    func view(_ shape: [Int], _ strides: [Int], _ offset: Int = 0) throws {
      _ = try StridedSource(
        source, elementSize: 2, shape: shape, strides: strides, offset: offset)
    }
    try view([3, 4], [4, 1])
    #expect(reason { try view([3, 4], [4]) } == "tensor.strides")
    #expect(reason { try view([3, 4], [-4, 1]) } == "tensor.strides")
    #expect(reason { try view([3, 4], [4, 1], -1) } == "tensor.strides")
    #expect(reason { try view([3, 4], [4, 1], 1) } == "tensor.outside-storage")
    #expect(reason { try view([3, 4], [.max, 1]) } == "tensor.outside-storage")
    #expect(reason { try view([3, 4], [1, 1], .max) } == "tensor.outside-storage")
    // Nothing lies nowhere.
    try view([0, 4], [.max, .max], 99)
    let strided = try StridedSource(
      source, elementSize: 2, shape: [2, 3], strides: [1, 4], offset: 1)
    #expect(strided.elementSize == 2 && strided.shape == [2, 3] && strided.strides == [1, 4])
    #expect(strided.offset == 1 && strided.base.count == 24)
    #expect(try strided.readAll() == [2, 3, 10, 11, 18, 19, 4, 5, 12, 13, 20, 21])
  }

  @Test func nothingIsReadOutsideASource() throws {
    let source = MemorySource([1, 2, 3])
    #expect(reason { _ = try source.read(1..<4) } == "file.truncated")
    #expect(reason { _ = try WindowSource(source, offset: 2, count: 2) } == "file.truncated")
    #expect(reason { _ = try WindowSource(source, offset: .max, count: 2) } == "file.truncated")
    #expect(try WindowSource(source, offset: 1, count: 2).readAll() == [2, 3])
  }

  @Test func shapesMustBeCountable() throws {
    #expect(reason { _ = try elementCount(of: [-1]) } == "tensor.shape")
    #expect(reason { _ = try elementCount(of: [1 << 40, 1 << 40]) } == "tensor.shape")
    #expect(reason { _ = try byteCount(of: [1 << 61], elementSize: 8) } == "tensor.shape")
    #expect(reason { _ = try Tensor(dtype: .f32, shape: [2], bytes: [1]) } == "tensor.size")
    let tensor = try Tensor.make([1.0, 2, 3], shape: [3])
    #expect(try tensor.loaded().isIdentical(to: tensor))
    #expect(try !tensor.isIdentical(to: Tensor.make([1.0, 2, 4], shape: [3])))
    #expect(try !tensor.isIdentical(to: Tensor.make([1.0, 2, 3], shape: [3, 1])))
  }

  @Test func onlyRegularFilesAreRead() throws {
    let folder = try newFolder()
    defer { remove(folder) }
    #expect(reason { _ = try InputFile(path: folder) } == "file.not-regular")
    #expect(reason { _ = try InputFile(path: "/dev/null") } == "file.not-regular")
    #expect(reason { _ = try InputFile(path: folder + "/none") } == "file.missing")
    let (path, link) = (folder + "/file", folder + "/link")
    try Data([1, 2, 3, 4]).write(to: URL(fileURLWithPath: path))
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: path)
    #expect(reason { _ = try InputFile(path: link, followsLinks: false) } == "file.missing")
    let file = try InputFile(path: link)
    #expect(try file.readAll() == [1, 2, 3, 4] && file.isSameFile(as: path))
    #expect(!file.isSameFile(as: folder + "/none"))
    try file.checkUnchanged()
    let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    let shrunk = try InputFile(path: path)
    try handle.truncate(atOffset: 1)
    #expect(reason { _ = try shrunk.readAll() } == "file.changed")
    #expect(reason { try shrunk.checkUnchanged() } == "file.changed")
    #expect(reason { try file.checkUnchanged() } == "file.changed")
  }
}

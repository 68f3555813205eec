import Tensors
import Testing

@testable import Containers

@Suite("libhdf5 is loaded when it is needed")
struct HDF5LibraryTests {
  @Test("A system without libhdf5 is told what to install")
  func missing() throws {
    let error = try #require(throws: RecurrentError.self) {
      try HDF5Library.load(["libhdf5-of-nobody.so.1"])
    }
    #expect(error.reason.code == "h5.library-missing")
    #expect(error.found == "no libhdf5 on this system")
    #expect(error.hint?.description.contains("apt install libhdf5-dev") == true)
  }

  @Test("A library without our functions is not taken, and one that follows is")
  func unsuitable() throws {
    #if canImport(Darwin)
      let other = "/usr/lib/libz.dylib"
    #else
      let other = "libz.so.1"
    #endif
    let error = try #require(throws: RecurrentError.self) {
      try HDF5Library.load([other, "libhdf5-of-nobody.so.1"])
    }
    #expect(error.reason.code == "h5.library-missing")
    #expect(error.found == "\(other) without H5dont_atexit")
    try HDF5Library.locked { try HDF5Library.load([other] + HDF5Library.names) }
  }
}

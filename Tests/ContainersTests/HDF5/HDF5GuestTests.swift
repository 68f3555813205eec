import Bytes
import Foundation
import HostSystem
import Tensors
import TestSupport
import Testing

@testable import Containers

// What a process has for itself is tried in a process of its own.
#if compiler(>=6.2) && (os(macOS) || os(Linux))
  @Suite("Writing HDF5 leaves the program's environment and libhdf5's settings alone")
  struct HDF5GuestTests {
    @Test func theEnvironmentStays() async {
      await #expect(processExitsWith: .success) {
        for name in ["HDF5_PLUGIN_PATH", "HDF5_DRIVER", "HDF5_EXT_PREFIX"] {
          setenv(name, name == "HDF5_DRIVER" ? "core" : "/tmp", 1)
        }
        try withTemporaryFolder { folder in
          var state = StateDict()
          try state.append("a", Tensor(dtype: .u8, shape: [3], bytes: [1, 2, 3]))
          try HDF5.write(state, toFileAt: folder + "/a.h5")
          let read = try HDF5.read(InputFile(path: folder + "/a.h5"))
          #expect(try read["a"]?.bytes() == [1, 2, 3])
        }
        #expect(getenv("HDF5_DRIVER").map { String(cString: $0) } == "core")
        #expect(getenv("HDF5_PLUGIN_PATH") != nil && getenv("HDF5_EXT_PREFIX") != nil)
      }
    }
  }
#endif

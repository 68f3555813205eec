// Writing a state dict: libhdf5 lays the file out, then the elements are written in their places.

import CHDF5
import Tensors

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

struct HDF5Writer {
  private let state: StateDict

  /// The alignment of every dataset's elements, in bytes.
  static let alignment: UInt64 = 64

  init(_ state: StateDict) { self.state = state }

  func checkNames() throws {
    for entry in state.entries { try check(entry.name) }
    for pair in state.metadata.pairs where pair.key.isEmpty || hasNUL(pair.key + pair.value) {
      throw RecurrentError(
        .malformed, "h5.metadata", at: "metadata \"\(pair.key)\"",
        found: "an empty key or a NUL in the text", expected: "text that HDF5 can hold")
    }
  }

  func write(toFileAt path: String) throws {
    try checkNames()
    let extents = try HDF5Library.locked { try layOut(path) }
    try fill(path, extents)
  }

  private func hasNUL(_ text: String) -> Bool { text.utf8.contains(0) }

  // A slash would make groups, "." is the group itself, and libhdf5 ends names at a NUL.
  private func check(_ name: Name) throws {
    let bytes = name.utf8
    guard !bytes.isEmpty, bytes != [0x2E], !bytes.contains(0x2F), !bytes.contains(0) else {
      throw RecurrentError(
        .malformed, "h5.name", at: "tensor \"\(name)\"", found: "a name that HDF5 cannot hold",
        expected: "a name that is neither empty nor \".\" and has no slash and no NUL",
        hint: "Rename the tensor, or write safetensors or npz.")
    }
  }

  private struct Extent {
    let tensor: Tensor
    let place: String
    let offset: UInt64
  }

  private func layOut(_ path: String) throws -> [Extent] {
    let access = try checked(H5Pcreate(chdf5_file_access_class()), "create an access list")
    defer { H5Pclose(access) }
    try checked(H5Pset_fapl_sec2(access), "choose the file driver")
    try checked(H5Pset_file_locking(access, false, true), "switch off file locks")
    try checked(H5Pset_alignment(access, 1, Self.alignment), "set the alignment")
    // Small elements would share a block whose parts are not aligned.
    try checked(H5Pset_small_data_block_size(access, 0), "set the block size")
    let creation = try checked(H5Pcreate(chdf5_file_create_class()), "create a creation list")
    defer { H5Pclose(creation) }
    let trackedAndIndexed: UInt32 = 3
    try checked(H5Pset_link_creation_order(creation, trackedAndIndexed), "track the order of keys")
    try checked(
      H5Pset_attr_creation_order(creation, trackedAndIndexed), "track the order of attributes")
    try checked(H5Pset_obj_track_times(creation, false), "leave times out")

    let truncate: UInt32 = 2
    let file = H5Fcreate(path, truncate, creation, access)
    guard file >= 0 else {
      throw RecurrentError(
        .cannotCreate, "h5.create", found: "libhdf5 cannot create the file: \(reason())")
    }
    var isOpen = true
    defer { if isOpen { H5Fclose(file) } }
    for pair in state.metadata.pairs { try writeAttribute(pair, on: file) }
    var extents: [Extent] = []
    for entry in state.entries where try !link(entry, in: file) {
      if let extent = try createDataset(entry, in: file) { extents.append(extent) }
    }
    isOpen = false
    try checked(H5Fclose(file), "close the file")
    return extents
  }

  /// Makes a hard link for a tied tensor; false when it needs a dataset of its own.
  private func link(_ entry: StateDict.Entry, in file: hid_t) throws -> Bool {
    guard let first = state.ties[entry.name], first != entry.name,
      H5Lexists(file, first.string, chdf5_default()) > 0, let other = state[first],
      try other.isIdentical(to: entry.tensor)
    else { return false }
    let links = try linkCreation()
    defer { H5Pclose(links) }
    try checked(
      H5Lcreate_hard(file, first.string, file, entry.name.string, links, chdf5_default()),
      "link a tied tensor", at: entry.name)
    return true
  }

  private func createDataset(_ entry: StateDict.Entry, in file: hid_t) throws -> Extent? {
    let (name, tensor) = (entry.name, entry.tensor)
    let type = try makeType(tensor.dtype)
    defer { H5Tclose(type) }
    let sizes = tensor.shape.map { hsize_t($0) }
    guard sizes.count <= HDF5LibraryFile.Limit.rank else {
      throw RecurrentError(
        .malformed, "h5.rank", at: "tensor \"\(name)\"", found: "\(sizes.count) axes",
        expected: "at most \(HDF5LibraryFile.Limit.rank)")
    }
    let space = try checked(
      sizes.isEmpty ? H5Screate(H5S_SCALAR) : H5Screate_simple(Int32(sizes.count), sizes, nil),
      "describe a shape", at: name)
    defer { H5Sclose(space) }
    let creation = try checked(H5Pcreate(chdf5_dataset_create_class()), "create a list", at: name)
    defer { H5Pclose(creation) }
    try checked(H5Pset_layout(creation, H5D_CONTIGUOUS), "choose contiguous storage", at: name)
    try checked(H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY), "allocate early", at: name)
    try checked(H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER), "leave the fill out", at: name)
    try checked(H5Pset_obj_track_times(creation, false), "leave times out", at: name)
    let links = try linkCreation()
    defer { H5Pclose(links) }
    let dataset = try checked(
      H5Dcreate2(file, name.string, type, space, links, creation, chdf5_default()),
      "create a dataset", at: name)
    defer { H5Dclose(dataset) }
    guard tensor.byteCount > 0 else { return nil }
    let offset = UInt64(H5Dget_offset(dataset))
    guard offset != UInt64(chdf5_undefined_address()), offset % Self.alignment == 0,
      H5Dget_storage_size(dataset) == tensor.byteCount
    else {
      throw RecurrentError(
        .fault, "h5.layout", at: "tensor \"\(name)\"", found: "elements at byte \(offset)",
        expected: "\(tensor.byteCount) bytes at a multiple of \(Self.alignment)")
    }
    return Extent(tensor: tensor, place: "tensor \"\(name)\"", offset: offset)
  }

  private func linkCreation() throws -> hid_t {
    let id = try checked(H5Pcreate(chdf5_link_create_class()), "create a link list")
    do {
      try checked(H5Pset_char_encoding(id, H5T_CSET_UTF8), "name keys in UTF-8")
    } catch {
      H5Pclose(id)
      throw error
    }
    return id
  }

  private func writeAttribute(_ pair: Metadata.Pair, on file: hid_t) throws {
    let key = Name(pair.key)
    let type = try checked(H5Tcopy(chdf5_c_string()), "make a type", at: key)
    defer { H5Tclose(type) }
    try checked(H5Tset_size(type, chdf5_variable_length()), "make a type", at: key)
    try checked(H5Tset_cset(type, H5T_CSET_UTF8), "make a type", at: key)
    let space = try checked(H5Screate(H5S_SCALAR), "describe a scalar", at: key)
    defer { H5Sclose(space) }
    let id = try checked(
      H5Acreate2(file, pair.key, type, space, chdf5_default(), chdf5_default()),
      "create an attribute", at: key)
    defer { H5Aclose(id) }
    try pair.value.withCString { text in
      var pointer: UnsafePointer<CChar>? = text
      try checked(H5Awrite(id, type, &pointer), "write an attribute", at: key)
    }
  }

  private func makeType(_ dtype: DType) throws -> hid_t {
    let standard: hid_t
    switch dtype {
    case .f64: standard = chdf5_f64le()
    case .f32: standard = chdf5_f32le()
    case .i64: standard = chdf5_i64le()
    case .i32: standard = chdf5_i32le()
    case .i16: standard = chdf5_i16le()
    case .i8: standard = chdf5_i8le()
    case .u64: standard = chdf5_u64le()
    case .u32: standard = chdf5_u32le()
    case .u16: standard = chdf5_u16le()
    case .u8: standard = chdf5_u8le()
    case .f16: return try makeFloat16(.f16)
    case .bf16: return try makeFloat16(.bf16)
    case .bool: return try makeBoolean()
    }
    return try checked(H5Tcopy(standard), "make a type")
  }

  private func makeFloat16(_ fields: HDF5ElementType.FloatFields) throws -> hid_t {
    let type = try checked(H5Tcopy(chdf5_f32le()), "make a 16-bit type")
    do {
      // Fields first: the size may only shrink to what they need.
      try checked(
        H5Tset_fields(
          type, fields.sign, fields.exponentPosition, fields.exponentSize, fields.mantissaPosition,
          fields.mantissaSize), "make a 16-bit type")
      try checked(H5Tset_size(type, 2), "make a 16-bit type")
      try checked(H5Tset_ebias(type, fields.exponentBias), "make a 16-bit type")
    } catch {
      H5Tclose(type)
      throw error
    }
    return type
  }

  /// The enumeration that h5py writes for booleans.
  private func makeBoolean() throws -> hid_t {
    let type = try checked(H5Tenum_create(chdf5_i8le()), "make a boolean type")
    do {
      for (name, value) in [("FALSE", Int8(0)), ("TRUE", 1)] {
        var value = value
        try checked(H5Tenum_insert(type, name, &value), "make a boolean type")
      }
    } catch {
      H5Tclose(type)
      throw error
    }
    return type
  }

  private func fill(_ path: String, _ extents: [Extent]) throws {
    let descriptor = open(path, O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw systemError("h5.create", nil) }
    var isOpen = true
    defer { if isOpen { close(descriptor) } }
    for extent in extents {
      guard var position = off_t(exactly: extent.offset) else {
        throw RecurrentError(.fault, "h5.layout", at: extent.place, found: "a negative offset")
      }
      try extent.tensor.source.forEachChunk { piece in
        var rest = piece
        while !rest.isEmpty {
          let written = pwrite(descriptor, rest.baseAddress, rest.count, position)
          if written < 0 && errno == EINTR { continue }
          guard written > 0 else { throw systemError("h5.write", extent.place) }
          position += off_t(written)
          rest = UnsafeRawBufferPointer(rebasing: rest[written...])
        }
      }
    }
    isOpen = false
    guard close(descriptor) == 0 else { throw systemError("h5.write", nil) }
  }

  private func systemError(_ reason: String, _ place: String?) -> RecurrentError {
    RecurrentError(.inputOutput, reason, at: place, found: String(cString: strerror(errno)))
  }

  private func reason() -> String {
    chdf5_error_text().map { String(cString: $0) } ?? "no reason given"
  }

  @discardableResult
  private func checked<Status: SignedInteger>(
    _ status: Status, _ action: String, at name: Name? = nil
  ) throws -> Status {
    guard status < 0 else { return status }
    throw RecurrentError(
      .inputOutput, "h5.write", at: name.map { "\"\($0)\"" },
      found: "libhdf5 cannot \(action): \(reason())")
  }
}

// Writing objects: libhdf5 lays the file out, then the elements are written in their places.

import Bytes
import CHDF5
import HostSystem
import Tensors

package struct HDF5Writer {
  private let objects: [HDF5Object]

  /// The alignment of every dataset's elements, in bytes.
  package static let alignment: UInt64 = 64

  /// Writes a state dict flat.
  package init(_ state: StateDict) throws { objects = try HDF5Object.flat(state) }

  /// Writes objects in order; groups come before their members, the root group first.
  package init(_ objects: [HDF5Object]) { self.objects = objects }

  package func checkNames() throws { for object in objects { try object.check() } }

  package func write(toFileAt path: String) throws {
    try checkNames()
    let extents = try HDF5Library.locked { try layOut(path) }
    try fill(path, extents)
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
        .hdf5Create, found: "libhdf5 cannot create the file: \(reason())")
    }
    var isOpen = true
    defer { if isOpen { H5Fclose(file) } }
    var extents: [Extent] = []
    for object in objects {
      switch object.content {
      case .group: try createGroup(object, in: file)
      case .link(let target): try link(object, to: target, in: file)
      case .dataset(let tensor):
        if let extent = try createDataset(object, tensor, in: file) { extents.append(extent) }
      }
    }
    isOpen = false
    try checked(H5Fclose(file), "close the file")
    return extents
  }

  private func createGroup(_ object: HDF5Object, in file: hid_t) throws {
    guard !object.path.isEmpty else {
      for attribute in object.attributes { try write(attribute, on: file) }
      return
    }
    let name = Name(object.pathText)
    let creation = try checked(H5Pcreate(chdf5_group_create_class()), "create a list", at: name)
    defer { H5Pclose(creation) }
    let trackedAndIndexed: UInt32 = 3
    try checked(
      H5Pset_link_creation_order(creation, trackedAndIndexed), "track the order", at: name)
    try checked(H5Pset_obj_track_times(creation, false), "leave times out", at: name)
    let links = try linkCreation()
    defer { H5Pclose(links) }
    let group = try checked(
      H5Gcreate2(file, name.string, links, creation, chdf5_default()), "create a group", at: name)
    defer { H5Gclose(group) }
    for attribute in object.attributes { try write(attribute, on: group) }
  }

  private func link(_ object: HDF5Object, to target: [Name], in file: hid_t) throws {
    let links = try linkCreation()
    defer { H5Pclose(links) }
    let first = HDF5Object(path: target, content: .group).pathText
    try checked(
      H5Lcreate_hard(file, first, file, object.pathText, links, chdf5_default()),
      "link a tied tensor", at: Name(object.pathText))
  }

  private func createDataset(
    _ object: HDF5Object, _ tensor: Tensor, in file: hid_t
  ) throws -> Extent? {
    let name = Name(object.path.map(\.string).joined(separator: "/"))
    let isOpaque = object.storesBF16AsOpaque && tensor.dtype == .bf16
    let type = try isOpaque ? makeOpaque(2) : makeType(tensor.dtype)
    defer { H5Tclose(type) }
    let sizes = tensor.shape.map { hsize_t($0) }
    guard sizes.count <= HDF5Limit.rank else {
      throw RecurrentError(
        .hdf5RankInexpressible, at: "tensor \"\(name)\"", found: "\(sizes.count) axes",
        expected: "at most \(HDF5Limit.rank)")
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
      H5Dcreate2(file, object.pathText, type, space, links, creation, chdf5_default()),
      "create a dataset", at: name)
    defer { H5Dclose(dataset) }
    for attribute in object.attributes { try write(attribute, on: dataset) }
    guard tensor.byteCount > 0 else { return nil }
    let offset = UInt64(H5Dget_offset(dataset))
    guard offset != UInt64(chdf5_undefined_address()), offset % Self.alignment == 0,
      H5Dget_storage_size(dataset) == tensor.byteCount
    else {
      throw RecurrentError(
        .hdf5LayoutFault, at: "tensor \"\(name)\"", found: "elements at byte \(offset)",
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

  private func write(
    _ attribute: (key: String, value: HDF5Object.Value), on object: hid_t
  ) throws {
    let key = Name(attribute.key)
    let type = try checked(H5Tcopy(chdf5_c_string()), "make a type", at: key)
    defer { H5Tclose(type) }
    try checked(H5Tset_cset(type, H5T_CSET_UTF8), "make a type", at: key)
    let space: hid_t
    switch attribute.value {
    case .text:
      try checked(H5Tset_size(type, chdf5_variable_length()), "make a type", at: key)
      space = try checked(H5Screate(H5S_SCALAR), "describe a scalar", at: key)
    case .texts(let list):
      let size = list.map(\.utf8.count).max() ?? 0
      try checked(H5Tset_size(type, max(1, size)), "make a type", at: key)
      try checked(H5Tset_strpad(type, H5T_STR_NULLPAD), "make a type", at: key)
      space = try checked(
        H5Screate_simple(1, [hsize_t(list.count)], nil), "describe a list", at: key)
    }
    defer { H5Sclose(space) }
    let id = try checked(
      H5Acreate2(object, attribute.key, type, space, chdf5_default(), chdf5_default()),
      "create an attribute", at: key)
    defer { H5Aclose(id) }
    switch attribute.value {
    case .text(let text):
      try text.withCString { text in
        var pointer: UnsafePointer<CChar>? = text
        try checked(H5Awrite(id, type, &pointer), "write an attribute", at: key)
      }
    case .texts(let list) where !list.isEmpty:
      let size = H5Tget_size(type)
      let bytes = list.flatMap { text in
        Array(text.utf8) + [UInt8](repeating: 0, count: size - text.utf8.count)
      }
      try checked(H5Awrite(id, type, bytes), "write an attribute", at: key)
    case .texts: break
    }
  }

  private func makeOpaque(_ size: Int) throws -> hid_t {
    let type = try checked(H5Tcreate(H5T_OPAQUE, size), "make an opaque type")
    do {
      try checked(H5Tset_tag(type, ""), "make an opaque type")
    } catch {
      H5Tclose(type)
      throw error
    }
    return type
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
    guard descriptor >= 0 else { throw systemError(.hdf5Create, nil) }
    var isOpen = true
    defer { if isOpen { close(descriptor) } }
    // libhdf5 emptied the file, and with it went the blocks that were reserved. Where there are too few now,
    // writing finds that out.
    let end = extents.map { $0.offset + UInt64($0.tensor.byteCount) }.max() ?? 0
    _ = files_preallocate(descriptor, Int64(clamping: end))
    for extent in extents {
      guard let position = off_t(exactly: extent.offset) else {
        throw RecurrentError(.hdf5LayoutFault, at: extent.place, found: "a negative offset")
      }
      guard lseek(descriptor, position, SEEK_SET) == position else {
        throw systemError(.hdf5Write, extent.place)
      }
      try append(extent.tensor.source, to: descriptor) { _ in
        systemError(.hdf5Write, extent.place)
      }
    }
    isOpen = false
    guard close(descriptor) == 0 else { throw systemError(.hdf5Write, nil) }
  }

  private func systemError(_ reason: RecurrentError.Reason, _ place: String?) -> RecurrentError {
    RecurrentError(reason, at: place, found: systemMessage())
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
      .hdf5Write, at: name.map { "\"\($0)\"" },
      found: "libhdf5 cannot \(action): \(reason())")
  }
}

// ONNX models, IR versions 3 to 14 (protocol buffers, fields by number):
//
//   ModelProto      1 ir_version  2 producer_name  7 graph  8 opset_import*  14 metadata_props*
//                   25 functions*
//   GraphProto      1 node*  2 name  5 initializer*  11 input*  12 output*  15 sparse_initializer*
//   NodeProto       1 input*  2 output*  3 name  4 op_type  5 attribute*  7 domain  9 metadata_props*
//   AttributeProto  1 name  2 f  3 i  4 s  5 t  6 g  7 floats*  8 ints*  9 strings*  11 graphs*  20 type
//   TensorProto     1 dims*  2 data_type  4 float_data*  5 int32_data*  7 int64_data*  8 name
//                   9 raw_data  10 double_data*  11 uint64_data*  13 external_data*  14 data_location
import Bytes
import Tensors

/// The ONNX container.
package enum ONNX {
  /// Whether the bytes begin with fields of a model and come to a graph; ONNX has no magic number.
  package static func recognizes(_ source: any ByteSource) -> Bool {
    let lengthDelimited: Set<Int> = [2, 3, 4, 6, 7, 8, 14, 20, 25, 26]
    guard source.count > 2, let head = try? source.read(0..<1), head[0] == 0x08 || head[0] == 0x3A
    else { return false }
    var fields = ProtobufReader(ProtobufBytes(source, allowance: 100_000))
    var hasVersion = false
    while true {
      let atGraph = fields.nextKey == 0x3A
      guard let field = try? fields.next() else {
        // That its graph is cut off is for the reader to report.
        return hasVersion && atGraph
      }
      switch field.value {
      case .varint(let value):
        // The version of a model is any number that its author likes.
        guard field.number == 5 || (field.number == 1 && value < 1 << 32) else { return false }
        hasVersion = hasVersion || field.number == 1
      case .bytes:
        guard lengthDelimited.contains(field.number) else { return false }
        if field.number == 7, hasVersion { return true }
      case .fixed32, .fixed64: return false
      }
    }
  }
}

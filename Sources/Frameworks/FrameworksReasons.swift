import Tensors

extension RecurrentError.Reason {
  package static let fileCoreML = Self("file.coreml", .unsupported)
  package static let fileEmpty = Self("file.empty", .damaged)
  package static let fileGGML = Self("file.ggml", .unsupported)
  package static let fileGGUF = Self("file.gguf", .unsupported)
  package static let fileGzip = Self("file.gzip", .unsupported)
  package static let fileHTML = Self("file.html", .damaged)
  package static let fileKaldi = Self("file.kaldi", .unsupported)
  package static let fileLFSPointer = Self("file.lfs-pointer", .damaged)
  package static let fileORT = Self("file.ort", .unsupported)
  package static let filePickle = Self("file.pickle", .unsupported)
  package static let fileRTNeural = Self("file.rtneural", .unsupported)
  package static let fileSavedModel = Self("file.saved-model", .unsupported)
  package static let fileTar = Self("file.tar", .unsupported)
  package static let fileTFLite = Self("file.tflite", .unsupported)
  package static let fileTorch7 = Self("file.torch7", .unsupported)
  package static let fileUnrecognized = Self("file.unrecognized", .damaged)
  package static let usageExtension = Self("usage.extension", .argument)
  package static let usageFormat = Self("usage.format", .argument)
  package static let zipContents = Self("zip.contents", .unsupported)
}

// One import for users: the nouns, the files, the mathematics, their meaning and their proofs.
@_exported import Bytes
@_exported import Conversion
@_exported import Networks
@_exported import RNNEngine
@_exported import Tensors
@_exported import LanguageModels
@_exported import Containers
@_exported import Frameworks

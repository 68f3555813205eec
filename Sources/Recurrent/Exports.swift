// One import for users: the nouns, the files, the mathematics and their meaning. What tests need is the product
// Parity, what draws the product Reports.
@_exported import Bytes
@_exported import Conversion
@_exported import Networks
@_exported import RNNEngine
@_exported import Tensors
@_exported import LanguageModels
@_exported import Containers
@_exported import Frameworks

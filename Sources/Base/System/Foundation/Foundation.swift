// Foundation's URL, for the calls that take one: where there is a Foundation of essentials, programs load that
// alone. A module of its own, because nothing but the door needs it.

#if canImport(FoundationEssentials)
  @_exported import FoundationEssentials
#else
  @_exported import Foundation
#endif

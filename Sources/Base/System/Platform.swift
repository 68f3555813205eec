// The one place that knows which C library there is. Everybody else imports HostSystem and has its calls;
// what differs between systems is a function of this module.

@_exported import CSystem

#if canImport(Darwin)
  @_exported import Darwin
#elseif canImport(Musl)
  @_exported import Musl
#else
  @_exported import Glibc
#endif

/// The system's words for an error number.
package func systemMessage(_ code: Int32 = errno) -> String { String(cString: strerror(code)) }

#if canImport(Darwin)
  /// Whether this is one of Apple's systems, where libraries have other names and places.
  package let isApple = true
#else
  /// Whether this is one of Apple's systems, where libraries have other names and places.
  package let isApple = false
#endif

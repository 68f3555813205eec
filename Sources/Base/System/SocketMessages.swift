/// Whole messages over a socket, whose other end may vanish.
package enum SocketMessages {
  /// Reads exactly `count` bytes, or `nil` when the other end is gone.
  package static func read(_ socket: Int32, _ count: Int) -> [UInt8]? {
    var isWhole = true
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      while initialized < count {
        let got = recv(socket, buffer.baseAddress.map { $0 + initialized }, count - initialized, 0)
        if got < 0 && errno == EINTR { continue }
        guard got > 0 else {
          isWhole = false
          return
        }
        initialized += got
      }
    }
    return isWhole ? bytes : nil
  }

  /// Writes everything; `false` when the other end is gone, which raises no signal.
  package static func write(_ socket: Int32, _ bytes: [UInt8]) -> Bool {
    #if canImport(Darwin)
      // The socket itself was told so.
      let flags: Int32 = 0
    #else
      let flags = Int32(MSG_NOSIGNAL)
    #endif
    var done = 0
    while done < bytes.count {
      let sent = bytes.withUnsafeBytes {
        send(socket, $0.baseAddress.map { $0 + done }, bytes.count - done, flags)
      }
      if sent < 0 && errno == EINTR { continue }
      guard sent > 0 else { return false }
      done += sent
    }
    return true
  }
}

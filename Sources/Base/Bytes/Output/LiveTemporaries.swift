import HostSystem
import Tensors

/// The temporary files of this process that nobody has published or discarded yet.
package enum LiveTemporaries {
  nonisolated(unsafe) private static var paths: Set<String> = []
  nonisolated(unsafe) private static let mutex: UnsafeMutablePointer<pthread_mutex_t> = {
    let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    pthread_mutex_init(mutex, nil)
    return mutex
  }()

  package static func insert(_ path: String) {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    paths.insert(path)
  }

  @discardableResult package static func remove(_ path: String) -> Bool {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return paths.remove(path) != nil
  }

  /// Unlinks every file and keeps the lock, so that no other can be created before the process ends.
  package static func unlinkAllForever() {
    pthread_mutex_lock(mutex)
    for path in paths { unlink(path) }
  }
}

// Calls of the operating system that an output file needs and that Swift does not see. Each returns 0
// (or a descriptor) or -1 with errno, ENOSYS where the system has no such call.
#ifndef RECURRENT_FILES_H
#define RECURRENT_FILES_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#if defined(__linux__) || defined(__APPLE__)
#include <sys/xattr.h>
#endif
#ifdef __linux__
#include <sys/syscall.h>
#endif

// Renames a file; EEXIST when the new name is taken, decided at one instant.
static inline int files_rename_exclusively(const char *from, const char *to) {
#if defined(__linux__) && defined(SYS_renameat2)
  return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 1u);
#elif defined(__APPLE__)
  return renamex_np(from, to, RENAME_EXCL);
#else
  (void)from, (void)to;
  errno = ENOSYS;
  return -1;
#endif
}

// Takes blocks for `count` bytes without changing the size.
static inline int files_preallocate(int descriptor, int64_t count) {
#if defined(__linux__) && defined(SYS_fallocate) && __SIZEOF_LONG__ == 8
  return (int)syscall(SYS_fallocate, descriptor, 1, (int64_t)0, count);
#else
  (void)descriptor, (void)count;
  errno = ENOSYS;
  return -1;
#endif
}

// Opens a file without a name in a directory, with the mode that the process's mask leaves of `mode`; the
// kernel removes it with the process, however that ends.
static inline int files_open_unnamed(const char *directory, mode_t mode) {
#ifdef __linux__
  char path[32];
  int descriptor = open(directory, 020000000 | O_DIRECTORY | O_RDWR | O_CLOEXEC, mode);
  if (descriptor < 0) return -1;
  // It gets its name through /proc, which not every container has.
  snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
  if (access(path, F_OK) == 0) return descriptor;
  close(descriptor);
#else
  (void)directory, (void)mode;
#endif
  errno = ENOSYS;
  return -1;
}

// Gives a file without a name its first one; EEXIST when that is taken.
static inline int files_name(int descriptor, const char *to) {
#ifdef __linux__
  char path[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
  return linkat(AT_FDCWD, path, AT_FDCWD, to, AT_SYMLINK_FOLLOW);
#else
  (void)descriptor, (void)to;
  errno = ENOSYS;
  return -1;
#endif
}

// Copies extended attributes and access control lists, as far as the system lets us.
static inline void files_copy_attributes(const char *from, int to) {
#if defined(__linux__) || defined(__APPLE__)
  enum { limit = 65536 };
#ifdef __APPLE__
#define FILES_LIST(path, names, size) listxattr(path, names, size, 0)
#define FILES_GET(path, name, value, size) getxattr(path, name, value, size, 0, 0)
#define FILES_SET(descriptor, name, value, size) fsetxattr(descriptor, name, value, size, 0, 0)
#else
#define FILES_LIST(path, names, size) listxattr(path, names, size)
#define FILES_GET(path, name, value, size) getxattr(path, name, value, size)
#define FILES_SET(descriptor, name, value, size) fsetxattr(descriptor, name, value, size, 0)
#endif
  char *names = (char *)malloc(2 * limit);
  if (!names) return;
  char *value = names + limit;
  ssize_t length = FILES_LIST(from, names, limit);
  for (ssize_t at = 0; at < length; at += (ssize_t)strlen(names + at) + 1) {
    ssize_t size = FILES_GET(from, names + at, value, limit);
    if (size >= 0) (void)FILES_SET(to, names + at, value, (size_t)size);
  }
  free(names);
#undef FILES_LIST
#undef FILES_GET
#undef FILES_SET
#else
  (void)from, (void)to;
#endif
}

#endif

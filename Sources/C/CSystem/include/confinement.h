// Takes rights away from this process.
#ifndef RECURRENT_CONFINEMENT_H
#define RECURRENT_CONFINEMENT_H

#include <stdint.h>

#ifdef __linux__
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

// Takes away what a process that reads one file does not need; returns 1 where Linux's landlock also
// keeps every other file out of reach, 0 where it is not there.
#ifdef __linux__

static inline int system_confine(const char *path) {
  // <linux/landlock.h> is younger than some systems that this is built on.
  struct { uint64_t handled_access_fs; } rules;
  struct { uint64_t allowed_access; int32_t parent_fd; } __attribute__((packed)) rule;
  const uint64_t read_file = 1 << 2;
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  rules.handled_access_fs = (1 << 13) - 1;
  int set = (int)syscall(444, &rules, sizeof rules, 0);
  if (set < 0) return 0;
  rule.allowed_access = read_file;
  rule.parent_fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  int is_confined = rule.parent_fd >= 0 && syscall(445, set, 1, &rule, 0) == 0 &&
                   syscall(446, set, 0) == 0;
  if (rule.parent_fd >= 0) close(rule.parent_fd);
  close(set);
  return is_confined;
}
#else
static inline int system_confine(const char *path) { (void)path; return 0; }
#endif

#endif

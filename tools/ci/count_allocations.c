// A library that goes before libc (LD_PRELOAD) and counts heap allocations; see tools/ci/streaming_allocations.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static atomic_long allocations;

// For the program under test, which looks it up by name.
long counted_allocations(void) { return atomic_load(&allocations); }

static char early[1 << 16];  // for dlsym, which allocates before the real functions are known
static atomic_size_t early_used;

static void *from_early(size_t size) {
  size_t at = atomic_fetch_add(&early_used, (size + 15) & ~(size_t)15);
  return at + size <= sizeof early ? early + at : 0;
}
static int is_early(const void *p) {
  return (const char *)p >= early && (const char *)p < early + sizeof early;
}

static void *(*real_malloc)(size_t), *(*real_calloc)(size_t, size_t), *(*real_realloc)(void *, size_t);
static void *(*real_memalign)(size_t, size_t);
static void (*real_free)(void *);
static int finding;

static int ready(void) {
  if (real_free) return 1;
  if (finding) return 0;
  finding = 1;
  real_malloc = dlsym(RTLD_NEXT, "malloc");
  real_calloc = dlsym(RTLD_NEXT, "calloc");
  real_realloc = dlsym(RTLD_NEXT, "realloc");
  real_memalign = dlsym(RTLD_NEXT, "memalign");
  real_free = dlsym(RTLD_NEXT, "free");
  finding = 0;
  return 1;
}

void *malloc(size_t size) {
  atomic_fetch_add(&allocations, 1);
  return ready() ? real_malloc(size) : from_early(size);
}
void *calloc(size_t count, size_t size) {
  atomic_fetch_add(&allocations, 1);
  return ready() ? real_calloc(count, size) : from_early(count * size);
}
void *realloc(void *p, size_t size) {
  atomic_fetch_add(&allocations, 1);
  if (!ready()) return from_early(size);
  if (!is_early(p)) return real_realloc(p, size);
  void *fresh = real_malloc(size);
  size_t most = (size_t)(early + sizeof early - (char *)p);
  return fresh ? memcpy(fresh, p, size < most ? size : most) : 0;
}
void *memalign(size_t alignment, size_t size) {
  atomic_fetch_add(&allocations, 1);
  return ready() ? real_memalign(alignment, size) : 0;
}
void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
int posix_memalign(void **p, size_t alignment, size_t size) {
  *p = memalign(alignment, size);
  return *p ? 0 : 12;
}
void free(void *p) {
  if (p && !is_early(p) && ready()) real_free(p);
}

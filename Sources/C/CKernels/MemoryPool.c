// A memory pool for traces: large blocks come and go with every training step. A block fresh from the
// operating system costs a page fault every 4 KB, which takes longer than the computation in it.
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "CKernels.h"

enum { KEPT = 12, ALIGNMENT = 64 };
static const size_t HUGE_PAGE = (size_t)2 << 20, SMALLEST = (size_t)64 << 10,
                    MOST_KEPT = (size_t)256 << 20;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
  void *block;
  size_t bytes;
} kept[KEPT];  // most recent first
static int count;
static size_t total;

static void *fresh(size_t bytes) {
  const int huge = bytes >= 2 * HUGE_PAGE;
  void *block = 0;
  if (posix_memalign(&block, huge ? HUGE_PAGE : ALIGNMENT, bytes) != 0) abort();
#if defined(__linux__)
  if (huge) madvise(block, bytes, MADV_HUGEPAGE);
#endif
  return block;
}

#if defined(__GLIBC__)
static void free_a_large_block(void) {
  void *volatile block = malloc(((size_t)32 << 20) - (64 << 10));
  free(block);
}
#endif

void ck_keep_the_heap(void) {
#if defined(__GLIBC__)
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, free_a_large_block);
#endif
}

static void forget(int index) {
  total -= kept[index].bytes;
  count--;
  for (int i = index; i < count; i++) kept[i] = kept[i + 1];
}

static size_t rounded(size_t bytes) {
  const size_t unit = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : bytes >= SMALLEST ? 4096 : ALIGNMENT;
  return (bytes + unit - 1) / unit * unit;
}

void *ck_pool_take(size_t wanted) {
  const size_t bytes = rounded(wanted ? wanted : 1);
  if (bytes < SMALLEST) return fresh(bytes);
  void *block = 0;
  ck_keep_the_heap();
  pthread_mutex_lock(&lock);
  for (int i = 0; i < count && !block; i++)
    if (kept[i].bytes == bytes) {
      block = kept[i].block;
      forget(i);
    }
  pthread_mutex_unlock(&lock);
  return block ? block : fresh(bytes);
}

void ck_pool_give(void *block, size_t wanted) {
  const size_t bytes = rounded(wanted ? wanted : 1);
  if (bytes < SMALLEST || bytes > MOST_KEPT) {
    free(block);
    return;
  }
  pthread_mutex_lock(&lock);
  while (count == KEPT || total + bytes > MOST_KEPT) {
    void *oldest = kept[count - 1].block;
    forget(count - 1);
    free(oldest);
  }
  for (int i = count; i > 0; i--) kept[i] = kept[i - 1];
  kept[0].block = block;
  kept[0].bytes = bytes;
  count++;
  total += bytes;
  pthread_mutex_unlock(&lock);
}

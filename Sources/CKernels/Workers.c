// Threads that share a job with the caller: started once, spinning briefly for the next job, then asleep.
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "CKernels.h"


enum { MOST_WORKERS = 63, SPINS = 4000 };

static pthread_mutex_t owner = PTHREAD_MUTEX_INITIALIZER;  // held by the caller whose job runs
static pthread_mutex_t sleep_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static _Atomic int sleepers, remaining;
static int started;

// A worker looks at its own ticket only, so that one that was not asked can never meet a later job.
static struct {
  _Alignas(64) _Atomic unsigned ticket;
} mailboxes[MOST_WORKERS];

static ck_job current_job;
static void *current_context;
static int current_count;

static inline void pause_briefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static void *work(void *argument) {
  const int index = (int)(long)argument;
  _Atomic unsigned *ticket = &mailboxes[index - 1].ticket;
  unsigned seen = 0;
  for (;;) {
    int spins = 0;
    while (atomic_load_explicit(ticket, memory_order_acquire) == seen) {
      if (++spins < SPINS) {
        pause_briefly();
        continue;
      }
      pthread_mutex_lock(&sleep_lock);
      atomic_fetch_add(&sleepers, 1);
      // The caller counts the sleepers after it wrote the tickets: one of the two sees the other.
      while (atomic_load(ticket) == seen) pthread_cond_wait(&wake, &sleep_lock);
      atomic_fetch_sub(&sleepers, 1);
      pthread_mutex_unlock(&sleep_lock);
    }
    seen++;
    current_job(current_context, index, current_count);
    atomic_fetch_sub_explicit(&remaining, 1, memory_order_release);
  }
  return 0;
}

// A forked child has none of its parent's threads.
static void forget(void) {
  const pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
  const pthread_cond_t silent = PTHREAD_COND_INITIALIZER;
  owner = sleep_lock = fresh;
  wake = silent;
  started = 0;
  atomic_store(&sleepers, 0);
  for (int i = 0; i < MOST_WORKERS; i++) atomic_store(&mailboxes[i].ticket, 0);
}

static void start_workers(int wanted) {
  static int registered;
  if (!registered) registered = pthread_atfork(0, 0, forget) == 0;
  pthread_attr_t attributes;
  if (!registered || pthread_attr_init(&attributes) != 0) return;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  while (started < wanted) {
    pthread_t thread;
    if (pthread_create(&thread, &attributes, work, (void *)(long)(started + 1)) != 0) break;
    started++;
  }
  pthread_attr_destroy(&attributes);
}

static int processors(void) {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count > 0 ? (int)count : 1;
}

static _Atomic int threads;

int ck_threads(void) {
  int count = atomic_load_explicit(&threads, memory_order_relaxed);
  if (count > 0) return count;
  const char *wanted = getenv("RECURRENT_THREADS");
  count = wanted ? atoi(wanted) : 0;
  if (count < 1) count = processors();
  atomic_store(&threads, count);
  return count;
}

void ck_set_threads(int count) { atomic_store(&threads, count < 1 ? 1 : count); }

void ck_parallel(int count, ck_job job, void *context) {
  if (count > MOST_WORKERS + 1) count = MOST_WORKERS + 1;
  // Where another thread of this program has the workers, this one does its job alone.
  if (count <= 1 || pthread_mutex_trylock(&owner) != 0) {
    job(context, 0, 1);
    return;
  }
  if (started < count - 1) start_workers(count - 1);
  if (count > started + 1) count = started + 1;
  current_job = job;
  current_context = context;
  current_count = count;
  atomic_store(&remaining, count - 1);
  for (int i = 0; i + 1 < count; i++) atomic_fetch_add(&mailboxes[i].ticket, 1);
  if (atomic_load(&sleepers) > 0) {
    pthread_mutex_lock(&sleep_lock);
    pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&sleep_lock);
  }
  job(context, 0, count);
  // A worker that lost its processor to another program must not wait for this thread's spinning.
  for (int spins = 0; atomic_load_explicit(&remaining, memory_order_acquire) > 0; spins++) {
    pause_briefly();
    if (spins > SPINS) sched_yield();
  }
  pthread_mutex_unlock(&owner);
}

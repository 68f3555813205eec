// Threads that share a job with the caller: started once, spinning briefly for the next job, then asleep.
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "CKernels.h"
#include "Pause.h"

enum { MOST_WORKERS = 63, SPINS = 4000 };

static pthread_mutex_t owner = PTHREAD_MUTEX_INITIALIZER;  // held by the caller whose job runs
static pthread_mutex_t sleep_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static _Atomic int sleepers;
static int started;

// The job that has shares to give: its number (32 bits), its shares and how many of them are taken (16
// bits each). Who takes a share keeps the job alive until the share is done, so what a share belongs to
// can be read afterwards.
static _Alignas(64) _Atomic uint64_t offer;
static _Alignas(64) _Atomic int remaining;
static ck_job current_job;
static void *current_context;

static inline int has_shares(uint64_t seen) { return (seen & 0xffff) < (seen >> 16 & 0xffff); }

// Takes shares until there are none left.
static void take_shares(void) {
  uint64_t seen = atomic_load_explicit(&offer, memory_order_acquire);
  while (has_shares(seen)) {
    if (!atomic_compare_exchange_weak_explicit(
            &offer, &seen, seen + 1, memory_order_acq_rel, memory_order_acquire))
      continue;
    current_job(current_context, (int)(seen & 0xffff), (int)(seen >> 16 & 0xffff));
    atomic_fetch_sub_explicit(&remaining, 1, memory_order_release);
    seen = atomic_load_explicit(&offer, memory_order_acquire);
  }
}

static void *work(void *argument) {
  for (;;) {
    for (int spins = 0; spins < SPINS; spins++) {
      if (has_shares(atomic_load_explicit(&offer, memory_order_acquire))) {
        take_shares();
        spins = 0;
      }
      pause_briefly();
    }
    pthread_mutex_lock(&sleep_lock);
    atomic_fetch_add(&sleepers, 1);
    // The caller counts the sleepers after it made the offer: one of the two sees the other.
    while (!has_shares(atomic_load(&offer))) pthread_cond_wait(&wake, &sleep_lock);
    atomic_fetch_sub(&sleepers, 1);
    pthread_mutex_unlock(&sleep_lock);
  }
  return argument;
}

// A forked child has none of its parent's threads.
static void forget(void) {
  const pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
  const pthread_cond_t silent = PTHREAD_COND_INITIALIZER;
  owner = sleep_lock = fresh;
  wake = silent;
  started = 0;
  atomic_store(&sleepers, 0);
  atomic_store(&offer, 0);
}

static void start_workers(int wanted) {
  static int registered;
  if (!registered) registered = pthread_atfork(0, 0, forget) == 0;
  pthread_attr_t attributes;
  if (!registered || pthread_attr_init(&attributes) != 0) return;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  while (started < wanted) {
    pthread_t thread;
    if (pthread_create(&thread, &attributes, work, 0) != 0) break;
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
  static uint64_t jobs;
  jobs++;
  current_job = job;
  current_context = context;
  atomic_store(&remaining, count);
  atomic_store(&offer, jobs << 32 | (uint64_t)count << 16);
  if (atomic_load(&sleepers) > 0) {
    pthread_mutex_lock(&sleep_lock);
    pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&sleep_lock);
  }
  // A worker that is slow to come finds nothing left to do; only a share that was begun is waited for.
  take_shares();
  for (int spins = 0; atomic_load_explicit(&remaining, memory_order_acquire) > 0; spins++) {
    pause_briefly();
    if (spins > SPINS) sched_yield();
  }
  pthread_mutex_unlock(&owner);
}

// The helper of a sweep of one row: it spins for the next piece for as long as the sweep lasts, because a
// step takes less time than waking a thread.
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include <sched.h>
#include <time.h>

#include "Layouts.h"
#include "Pause.h"

enum { SPINS = 4000, PATIENCE = 4000, FIRST = 4, TRIAL = 6, UNSURE = 160000 };

static void help(ck_team *team) {
  // One helper, however many come.
  if (atomic_exchange(&team->joined, 1)) return;
  for (long seen = 0;;) {
    long posted;
    for (int spins = 0; (posted = atomic_load_explicit(&team->posted, memory_order_acquire)) == seen;
         spins++) {
      pause_briefly();
      if (spins > SPINS) sched_yield();
    }
    if (posted < 0) return;
    seen = posted;
    if (team->piece.splits == 0) return;
    team->help(&team->piece);
    atomic_store_explicit(&team->done, seen, memory_order_release);
  }
}

static void share(void *context, int index, int count) {
  (void)index, (void)count;
  ck_team *team = context;
  if (atomic_fetch_add(&team->entered, 1) > 0) {
    if (atomic_load_explicit(&team->posted, memory_order_acquire) >= 0) help(team);
    return;
  }
  team->sweep(team->context, team);
  atomic_store_explicit(&team->posted, -1, memory_order_release);
}

void ck_team_run(ck_team *team) { ck_parallel(2, share, team); }

static double seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

// Whether the next piece is one to share. How fast two processors hear of each other differs from machine
// to machine more than anything else here, so that a sweep of small products tries both ways and keeps to
// the faster one.
static int is_to_share(ck_team *team, long multiplications) {
  if (multiplications >= UNSURE) return 1;
  const long piece = team->pieces++;
  if (piece == FIRST) team->start = seconds();
  if (piece == FIRST + TRIAL) {
    const double now = seconds();
    team->shared = now - team->start;
    team->start = now;
  }
  if (piece == FIRST + 2 * TRIAL) team->is_slow = seconds() - team->start <= team->shared;
  return piece < FIRST + TRIAL || piece >= FIRST + 2 * TRIAL;
}

// Sends the helper away, who has nothing to do at the moment.
static void dismiss(ck_team *team) {
  team->piece.splits = 0;
  long posted = atomic_load_explicit(&team->posted, memory_order_relaxed);
  atomic_store_explicit(&team->posted, posted + 1, memory_order_release);
}

int ck_team_post(ck_team *team, const ck_piece *piece) {
  if (team->is_slow || !atomic_load_explicit(&team->joined, memory_order_relaxed)) return 0;
  if (!is_to_share(team, piece->k * piece->n)) return 0;
  if (team->is_slow) {
    dismiss(team);
    return 0;
  }
  team->piece = *piece;
  long posted = atomic_load_explicit(&team->posted, memory_order_relaxed);
  atomic_store_explicit(&team->posted, posted + 1, memory_order_release);
  return 1;
}

void ck_team_wait(ck_team *team) {
  long posted = atomic_load_explicit(&team->posted, memory_order_relaxed);
  for (int spins = 0; atomic_load_explicit(&team->done, memory_order_acquire) != posted; spins++) {
    pause_briefly();
    if (spins > PATIENCE) {
      team->is_slow = 1;
      sched_yield();
    }
  }
  if (team->is_slow) dismiss(team);
}

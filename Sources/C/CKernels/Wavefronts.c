// Layers that run concurrently: cells of a grid, each of which needs the one on its left and the one above.
#include <stdatomic.h>

#include "CKernels.h"
#include "Pause.h"

#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include <sched.h>

enum { MOST_ROWS = 64, SPINS = 4000 };

// Of each row, twice the cells that are done, and one more while the next is being made.
typedef struct {
  int rows, columns;
  ck_cell_job job;
  void *context;
  struct {
    _Alignas(64) _Atomic long progress;
  } row[MOST_ROWS];
} wavefront;

// Makes the next cell of a row if it may begin; whether it did. `is_over` tells that none is left to begin.
static int make_cell(wavefront *w, int row, int *is_over) {
  long mine = atomic_load_explicit(&w->row[row].progress, memory_order_acquire);
  const long column = mine / 2;
  if (column + (mine & 1) < w->columns) *is_over = 0;
  if (mine & 1 || column == w->columns) return 0;
  if (row > 0
      && atomic_load_explicit(&w->row[row - 1].progress, memory_order_acquire) / 2 <= column)
    return 0;
  if (!atomic_compare_exchange_strong_explicit(
          &w->row[row].progress, &mine, mine + 1, memory_order_acq_rel, memory_order_relaxed))
    return 0;
  w->job(w->context, row, (int)column);
  atomic_store_explicit(&w->row[row].progress, mine + 2, memory_order_release);
  return 1;
}

// A share keeps to rows of its own, whose matrices its cache then holds, while one of them can go on; the
// last of them first, as others wait for it. Otherwise it helps wherever it can, so that no share needs
// another one to come.
static void make_cells(void *context, int index, int count) {
  wavefront *w = context;
  const int last = w->rows * (index + 1) / count - 1;
  for (int spins = 0;; spins++) {
    int is_over = 1, made = 0;
    for (int i = 0; i < w->rows && !made; i++)
      made = make_cell(w, (last - i + w->rows) % w->rows, &is_over);
    if (made) {
      spins = 0;
      continue;
    }
    if (is_over) return;
    pause_briefly();
    if (spins > SPINS) sched_yield();
  }
}

void ck_wavefront(int rows, int columns, int threads, ck_cell_job job, void *context) {
  if (rows > MOST_ROWS || threads < 2) {
    for (int row = 0; row < rows; row++)
      for (int column = 0; column < columns; column++) job(context, row, column);
    return;
  }
  wavefront w = {.rows = rows, .columns = columns, .job = job, .context = context};
  for (int row = 0; row < rows; row++) atomic_init(&w.row[row].progress, 0);
  ck_parallel(threads < rows ? threads : rows, make_cells, &w);
}

// What the loops over time know about the cells, and the second processor that may help them.
#pragma once

#include <stdatomic.h>

#include "CKernels.h"

// A product of a step: of the gates' rows of W_hh, added to the blocks that begin with `block`, with the
// state or, if `operand` is not -1, with a block of the trace.
typedef struct {
  int gates, block, operand;
} ck_phase;

typedef struct {
  int blocks, phases, keeps_trace, has_cells;
  ck_phase phase[2];
} ck_layout;

static const ck_layout ck_layouts[5] = {
    [CK_RNN_TANH] = {1, 1, 0, 0, {{1, 0, -1}}},
    [CK_RNN_RELU] = {1, 1, 0, 0, {{1, 0, -1}}},
    [CK_LSTM] = {5, 1, 1, 1, {{4, 0, -1}}},
    [CK_GRU] = {4, 1, 1, 0, {{3, 1, -1}}},
    [CK_GRU_RESET_BEFORE] = {4, 2, 1, 0, {{2, 1, -1}, {1, 0, 3}}},
};

static inline long ck_min(long a, long b) { return a < b ? a : b; }
static inline long ck_max(long a, long b) { return a > b ? a : b; }

// The rows of the step before `step` that go on, in a batch sorted by falling length.
static inline long ck_predecessor(const ck_sweep *s, long step, long *first) {
  long before = s->reversed ? step + 1 : step - 1;
  if (before < 0 || before >= s->steps) return 0;
  *first = s->offsets[before];
  long mine = s->offsets[step + 1] - s->offsets[step];
  long theirs = s->offsets[before + 1] - s->offsets[before];
  return mine < theirs ? mine : theirs;
}

// A product of one row, of which another processor may do the last panels.
typedef struct {
  const void *a, *packed;
  void *c;
  long k, n, from, to;
  int splits, backwards;  // no splits: there is nothing more to do
} ck_piece;

// One sweep of a single row: the thread that comes first makes it, the others help with its products, if
// they come before it is over. Nobody waits for a helper that has not come.
typedef struct {
  void *context;
  void (*sweep)(void *context, void *team);
  void (*help)(const ck_piece *piece);
  _Atomic int entered;
  ck_piece piece;
  int is_slow;  // a helper let the sweep wait or did not make it faster, so that it goes on alone
  long pieces;  // since the helper came
  double start, shared;  // when a trial began, and how long that of the helper took
  _Alignas(64) _Atomic int joined;
  _Alignas(64) _Atomic long posted;  // the number of the latest piece; negative at the end
  _Alignas(64) _Atomic long done;
} ck_team;

// Runs `sweep` with at most one helper.
void ck_team_run(ck_team *team);

// Whether there is a helper for `piece`, who begins with it.
int ck_team_post(ck_team *team, const ck_piece *piece);

// Waits for the piece to be done.
void ck_team_wait(ck_team *team);

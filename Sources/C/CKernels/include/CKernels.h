// The engine's inner loops, compiled once for each instruction set and chosen at run time.
//
// Everything is row-major. "Packed" matrices are what `pack` makes of them. Sums grow in ascending order
// of the summed index, one fused (or, in the baseline, separate) multiplication and addition at a time,
// whatever the number of rows: a row alone has the bits that it has in a batch. Backward sweeps sum each
// gate's products with W_hh apart, and add these sums in the order of the gates.
#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// The cells, with the blocks of their traces as in Sources/Engine/Cells.
typedef enum ck_cell {
  CK_RNN_TANH = 0,
  CK_RNN_RELU = 1,
  CK_LSTM = 2,
  CK_GRU = 3,
  CK_GRU_RESET_BEFORE = 4
} ck_cell;

// Operations of optimisers and losses: what becomes of a.
typedef enum ck_step {
  CK_STEP_SCALE = 0,         // a f
  CK_STEP_ADD = 1,           // a + b f
  CK_STEP_ADD_PRODUCT = 2,   // a + (f b) c
  CK_STEP_ADD_QUOTIENT = 3,  // a + f b / c
  CK_STEP_NEAR = 4,          // a + f (b - a)
  CK_STEP_FAR = 5,           // b + f (b - a)
  CK_STEP_DENOMINATOR = 6,   // sqrt(b) / f + g
  CK_STEP_MAXIMUM = 7,       // the larger of a and b, NaN where b is
  CK_STEP_DIVIDE = 8         // a / f; zero stays zero whatever f is
} ck_step;

// One direction of one layer over a schedule of time steps.
typedef struct ck_sweep {
  int cell;
  int reversed;
  int has_projection;
  long hidden;  // H
  long state;   // P with a projection, else H
  long steps;
  const long *offsets;  // steps + 1: the first row of each step, and the number of rows
  long output_stride, output_offset;
  long state_offset, cell_offset;
  // The batch rows to work on, so that threads can share a sweep.
  long first_row, end_row;
  // Whether another thread may help with the products of a single row.
  int is_shared;
} ck_sweep;

// What a forward sweep over some steps reads and writes; see ForwardBuffers in RNNEngine.
typedef struct ck_forward {
  void *trace;
  const void *packed_hidden[2];  // one for each product of a step
  const void *packed_projection;
  const void *initial_state;
  void *cells;
  void *output;
  void *scratch;  // (N, H) elements with a projection
  int backwards;  // whether the first step reads the matrices from their end
  // For a single step of a cell with one product: its input (N, input_size), which is multiplied here
  // and added to the first input_columns of the trace; NULL where the trace holds that already.
  const void *input;
  long input_size, input_columns;
  const void *packed_input, *bias;
} ck_forward;

// What a backward sweep reads and writes; see BackwardBuffers in RNNEngine.
typedef struct ck_backward {
  const void *trace;
  const void *output;
  const void *initial_state, *initial_cells;
  const void *d_output;
  const void *packed_hidden[2];  // not transposed: gates × state
  const void *packed_projection;
  void *d_trace;
  void *d_state, *d_cells;
  void *d_projected;
  void *scratch;  // (N, H) elements
} ck_backward;

// The functions of one instruction set for one element type.
typedef struct ck_kernels {
  const char *name;
  long element_size;

  // Elements of a packed (k, n) matrix; at 64 bytes' alignment it is read fastest.
  long (*packed_count)(long k, long n);

  // Packs B (k, n) with element (i, j) at b[i * row_stride + j * column_stride].
  void (*pack)(
      const void *b, long row_stride, long column_stride, long k, long n, void *packed);

  // C (m, n) = bias + A B, or C += A B without a bias; `backwards` begins with the last columns.
  void (*product)(
      const void *a, long a_stride, long m, long k, const void *packed, long n, const void *bias,
      void *c, long c_stride, int backwards);

  // Runs steps first..<end of a sweep.
  void (*forward)(const ck_sweep *sweep, long first, long end, const ck_forward *buffers);

  // Runs all steps of a sweep backwards.
  void (*backward)(const ck_sweep *sweep, const ck_backward *buffers);

  // C (m, n) += Gᵀ X over all rows, the last row first, or = if C holds nothing yet; `scratch` has
  // weight_scratch elements.
  void (*weight_gradient)(
      const void *g, long g_stride, long m, const void *x, long x_stride, long n, long rows,
      void *c, long c_stride, int is_first, void *scratch);
  long (*weight_scratch)(long m);

  // sum (n) += the rows of G, the last row first.
  void (*bias_gradient)(const void *g, long g_stride, long n, long rows, void *sum);

  // y = f(x), for tests and for what stands outside the sweeps.
  void (*tanh)(const void *x, void *y, long count);
  void (*sigmoid)(const void *x, void *y, long count);
  void (*exp)(const void *x, void *y, long count);

  // log p = x − max − log Σ exp(x − max), and p, of at least one number.
  void (*log_softmax)(const void *x, void *log_p, void *p, long count);

  // One ck_step on `count` elements; an operand that it does not have may be NULL.
  void (*step)(
      int operation, void *a, const void *b, const void *c, double f, double g, long count);

  // For the benchmark: how many operations it did in registers, and the sum of what it read.
  double (*peak_arithmetic)(long rounds);
  double (*peak_reading)(const void *from, long count);
} ck_kernels;

// The best kernels of this processor for elements of 4 or 8 bytes, or those with the name given
// ("avx512", "avx2", "sse2", "neon"); NULL where the processor or the build has none.
const ck_kernels *ck_find(long element_size, const char *name);

// Uninitialised memory at 64 bytes' alignment; blocks that were given back, 256 MB at most, wait for the
// next taker of the same size. Ends the program where there is no memory, as Swift's arrays do.
void *ck_pool_take(size_t bytes);
void ck_pool_give(void *block, size_t bytes);

// glibc gives memory back to the operating system early until a program has freed one large block; the
// arrays of a training step, or of a long sequence, would be new pages every time. Afterwards they are not.
void ck_keep_the_heap(void);

// One share of a job: index of count.
typedef void (*ck_job)(void *context, int index, int count);

// Does a job in `count` shares, the caller's among them, and returns when all are done. The job must
// make do with fewer shares than asked, down to one.
void ck_parallel(int count, ck_job job, void *context);

// One cell of a grid.
typedef void (*ck_cell_job)(void *context, int row, int column);

// Does all cells of a grid on at most so many threads: those of a row one after the other, and none before
// the one above it is done.
void ck_wavefront(int rows, int columns, int threads, ck_cell_job job, void *context);

// How many shares a job should have at most: RECURRENT_THREADS, or the processors that this process may
// run on, until it is set.
int ck_threads(void);
void ck_set_threads(int count);

#ifdef __cplusplus
}
#endif

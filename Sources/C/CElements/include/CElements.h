// Runs of floating-point numbers in another type, what that changed, and transposed matrices.
#ifndef RECURRENT_CELEMENTS_H
#define RECURRENT_CELEMENTS_H

#include <stddef.h>
#include <stdint.h>

// Each converts numbers until a NaN comes, whose payload is not the processor's to choose, and returns how
// many: all of them, or fewer, with the NaN among the next 64. Rounding is to nearest, ties to even.
size_t elements_f64_to_f32(const double *from, float *to, size_t count);
size_t elements_f32_to_f64(const float *from, double *to, size_t count);
size_t elements_f32_to_bf16(const uint32_t *from, uint16_t *to, size_t count);
size_t elements_bf16_to_f32(const uint16_t *from, uint32_t *to, size_t count);
// Zero of them where the processor does not know binary16.
size_t elements_f32_to_f16(const float *from, uint16_t *to, size_t count);
size_t elements_f16_to_f32(const uint16_t *from, float *to, size_t count);

// Counts the numbers that differ, until one comes that needs a closer look: a NaN, or a relative change
// above `largest`. Returns how many were counted: all, or fewer, with that one among the next 64.
size_t elements_count_changes(
    const double *before, const double *after, size_t count, double largest, size_t *changed,
    size_t *vanished);

// Copies element (row, column) of one matrix to (column, row) of another; strides are in elements, from row to
// row of either. For elements of 2, 4 and 8 bytes.
void elements_transpose_2(
    const uint16_t *from, size_t from_stride, uint16_t *to, size_t to_stride, size_t rows,
    size_t columns);
void elements_transpose_4(
    const uint32_t *from, size_t from_stride, uint32_t *to, size_t to_stride, size_t rows,
    size_t columns);
void elements_transpose_8(
    const uint64_t *from, size_t from_stride, uint64_t *to, size_t to_stride, size_t rows,
    size_t columns);

#endif

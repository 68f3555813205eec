// Runs of floating-point numbers in another type, and what that changed.
#ifndef RECURRENT_CCASTS_H
#define RECURRENT_CCASTS_H

#include <stddef.h>
#include <stdint.h>

// Each converts numbers until a NaN comes, whose payload is not the processor's to choose, and returns how
// many: all of them, or fewer, with the NaN among the next 64. Rounding is to nearest, ties to even.
size_t casts_f64_to_f32(const double *from, float *to, size_t count);
size_t casts_f32_to_f64(const float *from, double *to, size_t count);
size_t casts_f32_to_bf16(const uint32_t *from, uint16_t *to, size_t count);
size_t casts_bf16_to_f32(const uint16_t *from, uint32_t *to, size_t count);
// Zero of them where the processor does not know binary16.
size_t casts_f32_to_f16(const float *from, uint16_t *to, size_t count);
size_t casts_f16_to_f32(const uint16_t *from, float *to, size_t count);

// Counts the numbers that differ, until one comes that needs a closer look: a NaN, or a relative change
// above `largest`. Returns how many were counted: all, or fewer, with that one among the next 64.
size_t casts_count_changes(
    const double *before, const double *after, size_t count, double largest, size_t *changed,
    size_t *vanished);

#endif

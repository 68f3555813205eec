// Loops that the compiler turns into vector instructions, in blocks of 64 numbers.

#include "CElements.h"

#include <math.h>
#include <string.h>

enum { block = 64 };

// Compiled for several processors; the best that is there is taken at the first call.
#if defined(__x86_64__)
#include <immintrin.h>
#define VECTORS_512 __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,f16c")))
#define VECTORS_256 __attribute__((target("avx2,f16c")))

static int level(void) {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")
      && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")) return 2;
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c") ? 1 : 0;
}

#define DISPATCH(name, arguments)             \
  switch (level()) {                          \
    case 2: return name##_512 arguments;      \
    case 1: return name##_256 arguments;      \
    default: return name##_plain arguments;   \
  }
#define VERSIONS(body) body(VECTORS_512, _512) body(VECTORS_256, _256) body(, _plain)
#else
#define DISPATCH(name, arguments) return name##_plain arguments;
#define VERSIONS(body) body(, _plain)
#endif

// `IS_NAN` and `CONVERT` look at the number `x`.
#define CAST(name, From, To, IS_NAN, CONVERT, attributes, suffix)                     \
  attributes static size_t name##suffix(const From *from, To *to, size_t count) {     \
    for (size_t start = 0; start < count; start += block) {                           \
      const size_t length = count - start < block ? count - start : block;            \
      int nans = 0;                                                                   \
      for (size_t i = start; i < start + length; i++) {                               \
        const From x = from[i];                                                       \
        nans |= IS_NAN;                                                               \
        to[i] = CONVERT;                                                              \
      }                                                                               \
      if (nans) return start;                                                         \
    }                                                                                 \
    return count;                                                                     \
  }

#define F64_TO_F32(attributes, suffix) \
  CAST(f64_to_f32, double, float, x != x, (float)x, attributes, suffix)
#define F32_TO_F64(attributes, suffix) \
  CAST(f32_to_f64, float, double, x != x, (double)x, attributes, suffix)
#define F32_TO_BF16(attributes, suffix)                                     \
  CAST(f32_to_bf16, uint32_t, uint16_t, (x & 0x7FFFFFFFu) > 0x7F800000u,    \
       (uint16_t)((x + 0x7FFFu + (x >> 16 & 1)) >> 16), attributes, suffix)
#define BF16_TO_F32(attributes, suffix) \
  CAST(bf16_to_f32, uint16_t, uint32_t, 0, (uint32_t)x << 16, attributes, suffix)

VERSIONS(F64_TO_F32)
VERSIONS(F32_TO_F64)
VERSIONS(F32_TO_BF16)
VERSIONS(BF16_TO_F32)

size_t elements_f64_to_f32(const double *from, float *to, size_t count) {
  DISPATCH(f64_to_f32, (from, to, count))
}

size_t elements_f32_to_f64(const float *from, double *to, size_t count) {
  DISPATCH(f32_to_f64, (from, to, count))
}

size_t elements_f32_to_bf16(const uint32_t *from, uint16_t *to, size_t count) {
  DISPATCH(f32_to_bf16, (from, to, count))
}

size_t elements_bf16_to_f32(const uint16_t *from, uint32_t *to, size_t count) {
  DISPATCH(bf16_to_f32, (from, to, count))
}

#if defined(__x86_64__)
// Whole vectors of eight; what is left over goes the long way.
VECTORS_256 static size_t f32_to_f16(const float *from, uint16_t *to, size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256 x = _mm256_loadu_ps(from + i);
    if (_mm256_movemask_ps(_mm256_cmp_ps(x, x, _CMP_UNORD_Q))) return i;
    _mm_storeu_si128((__m128i *)(to + i), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
  }
  return i;
}

VECTORS_256 static size_t f16_to_f32(const uint16_t *from, float *to, size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256 x = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(from + i)));
    if (_mm256_movemask_ps(_mm256_cmp_ps(x, x, _CMP_UNORD_Q))) return i;
    _mm256_storeu_ps(to + i, x);
  }
  return i;
}

size_t elements_f32_to_f16(const float *from, uint16_t *to, size_t count) {
  return level() > 0 ? f32_to_f16(from, to, count) : 0;
}

size_t elements_f16_to_f32(const uint16_t *from, float *to, size_t count) {
  return level() > 0 ? f16_to_f32(from, to, count) : 0;
}
#elif defined(__aarch64__)
#define F32_TO_F16(attributes, suffix) \
  CAST(f32_to_f16, float, __fp16, x != x, (__fp16)x, attributes, suffix)
#define F16_TO_F32(attributes, suffix) \
  CAST(f16_to_f32, __fp16, float, (float)x != (float)x, (float)x, attributes, suffix)
VERSIONS(F32_TO_F16)
VERSIONS(F16_TO_F32)

size_t elements_f32_to_f16(const float *from, uint16_t *to, size_t count) {
  return f32_to_f16_plain(from, (__fp16 *)to, count);
}

size_t elements_f16_to_f32(const uint16_t *from, float *to, size_t count) {
  return f16_to_f32_plain((const __fp16 *)from, to, count);
}
#else
size_t elements_f32_to_f16(const float *from, uint16_t *to, size_t count) {
  (void)from, (void)to, (void)count;
  return 0;
}

size_t elements_f16_to_f32(const uint16_t *from, float *to, size_t count) {
  (void)from, (void)to, (void)count;
  return 0;
}
#endif

#define COUNT_CHANGES(attributes, suffix)                                                      \
  attributes static size_t count_changes##suffix(                                              \
      const double *before, const double *after, size_t count, double largest,                 \
      size_t *changed, size_t *vanished) {                                                     \
    for (size_t start = 0; start < count; start += block) {                                    \
      const size_t length = count - start < block ? count - start : block;                     \
      int64_t differences = 0, zeros = 0, remarkable = 0;                                      \
      for (size_t i = start; i < start + length; i++) {                                        \
        const double old = before[i], new = after[i];                                          \
        differences += new != old;                                                             \
        zeros += (new == 0) & (old != 0);                                                      \
        remarkable |= (old != old) | (fabs(new - old) / fabs(old) > largest);                  \
      }                                                                                        \
      if (remarkable) return start;                                                            \
      *changed += (size_t)differences;                                                         \
      *vanished += (size_t)zeros;                                                              \
    }                                                                                          \
    return count;                                                                              \
  }
VERSIONS(COUNT_CHANGES)

size_t elements_count_changes(
    const double *before, const double *after, size_t count, double largest, size_t *changed,
    size_t *vanished) {
  DISPATCH(count_changes, (before, after, count, largest, changed, vanished))
}

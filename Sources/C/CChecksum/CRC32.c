// zlib computes a CRC-32 from tables, at 1 to 2 GB/s, slower than a file is copied. Here the text is
// folded: as polynomials over GF(2), 64 bytes are replaced by the remainder that they leave, added to the
// next 64, until 16 are left, and zlib does those. (Gopal et al., "Fast CRC Computation for Generic
// Polynomials Using PCLMULQDQ Instruction", Intel, 2009.)

#include "CChecksum.h"

#include <zlib.h>

static uint32_t from_tables(uint32_t start, const uint8_t *bytes, size_t count) {
  // zlib counts in 32 bits.
  const size_t most = 1 << 30;
  while (count > most) {
    start = (uint32_t)crc32(start, bytes, (uInt)most);
    bytes += most;
    count -= most;
  }
  return (uint32_t)crc32(start, bytes, (uInt)count);
}

#if defined(__x86_64__)
#include <immintrin.h>

#define FOLDS __attribute__((target("pclmul,sse4.1")))

// The 16 bytes `x` moved on by a distance that the two multipliers stand for, plus those they meet.
FOLDS static inline __m128i fold(__m128i x, __m128i multipliers, __m128i next) {
  const __m128i low = _mm_clmulepi64_si128(x, multipliers, 0x00);
  const __m128i high = _mm_clmulepi64_si128(x, multipliers, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

// `count` is a multiple of 64, and not zero.
FOLDS static uint32_t by_folding(uint32_t start, const uint8_t *bytes, size_t count) {
  // x^(n + 32) and x^(n - 32) modulo the polynomial, bits reversed, for n = 512 and n = 128.
  const __m128i far = _mm_set_epi64x(0x1c6e41596, 0x154442bd4);
  const __m128i near = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
  const __m128i *next = (const __m128i *)bytes;
  __m128i a = _mm_loadu_si128(next), b = _mm_loadu_si128(next + 1);
  __m128i c = _mm_loadu_si128(next + 2), d = _mm_loadu_si128(next + 3);
  a = _mm_xor_si128(a, _mm_cvtsi32_si128((int)~start));
  for (size_t left = count / 64 - 1; left > 0; left--) {
    next += 4;
    a = fold(a, far, _mm_loadu_si128(next));
    b = fold(b, far, _mm_loadu_si128(next + 1));
    c = fold(c, far, _mm_loadu_si128(next + 2));
    d = fold(d, far, _mm_loadu_si128(next + 3));
  }
  uint8_t rest[16];
  _mm_storeu_si128((__m128i *)rest, fold(fold(fold(a, near, b), near, c), near, d));
  // The start is in there already: zlib begins with a register of zeros, which it calls ~0.
  return from_tables(UINT32_MAX, rest, sizeof rest);
}

static int can_fold(void) {
  __builtin_cpu_init();
  return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
}

#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#include <string.h>

static uint32_t by_folding(uint32_t start, const uint8_t *bytes, size_t count) {
  uint32_t value = ~start;
  for (size_t at = 0; at < count; at += 8) {
    uint64_t word;
    memcpy(&word, bytes + at, sizeof word);
    value = __crc32d(value, word);
  }
  return ~value;
}

static int can_fold(void) { return 1; }

#else
static uint32_t by_folding(uint32_t start, const uint8_t *bytes, size_t count) {
  return from_tables(start, bytes, count);
}

static int can_fold(void) { return 0; }
#endif

uint32_t checksum_crc32(uint32_t start, const void *bytes, size_t count) {
  const size_t folded = count / 64 * 64;
  if (folded == 0 || !can_fold()) return from_tables(start, bytes, count);
  start = by_folding(start, bytes, folded);
  return from_tables(start, (const uint8_t *)bytes + folded, count - folded);
}

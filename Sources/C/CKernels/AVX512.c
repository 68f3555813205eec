// The kernels for AVX512.
#include "CKernels.h"
#include "Constants.h"
#include "Layouts.h"

#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma"), min_vector_width(512))), apply_to = function)

#define ISA avx512
#define FUSED 1
#define PANEL 4
#define TILE_ROWS 6
#define ROW_PANELS 4
#define T float
#define INT int
#define UINT unsigned
#define LANES 16
#define IS_F32 1
#define CK_MASK(count) ((__mmask16)((1u << (count)) - 1))
#define CK_LOAD_PART(p, count) ((V)(_mm512_maskz_loadu_ps(CK_MASK(count), p)))
#define CK_SCALE(e, n) _mm512_scalef_ps((__m512)(e), (__m512)(n))
#define CK_STORE_PART(p, v, count) _mm512_mask_storeu_ps(p, CK_MASK(count), ((__m512)(v)))
#include "Instantiate.inc"
#include "Undefine.inc"

#define ISA avx512
#define FUSED 1
#define PANEL 4
#define TILE_ROWS 6
#define ROW_PANELS 4
#define T double
#define INT long
#define UINT unsigned long
#define LANES 8
#define IS_F32 0
#define CK_MASK(count) ((__mmask8)((1u << (count)) - 1))
#define CK_LOAD_PART(p, count) ((V)(_mm512_maskz_loadu_pd(CK_MASK(count), p)))
#define CK_SCALE(e, n) _mm512_scalef_pd((__m512d)(e), (__m512d)(n))
#define CK_STORE_PART(p, v, count) _mm512_mask_storeu_pd(p, CK_MASK(count), ((__m512d)(v)))
#include "Instantiate.inc"
#include "Undefine.inc"

#pragma clang attribute pop
#endif

// The kernels for AVX2.
#include "CKernels.h"
#include "Constants.h"
#include "Layouts.h"

#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)

#define ISA avx2
#define FUSED 1
#define PANEL 2
#define TILE_ROWS 6
#define ROW_PANELS 4
#define T float
#define INT int
#define UINT unsigned
#define LANES 8
#define IS_F32 1
#include "Instantiate.inc"
#include "Undefine.inc"

#define ISA avx2
#define FUSED 1
#define PANEL 2
#define TILE_ROWS 6
#define ROW_PANELS 4
#define T double
#define INT long
#define UINT unsigned long
#define LANES 4
#define IS_F32 0
#include "Instantiate.inc"
#include "Undefine.inc"

#pragma clang attribute pop
#endif

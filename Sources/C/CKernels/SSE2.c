// The kernels for SSE2.
#include "CKernels.h"
#include "Constants.h"
#include "Layouts.h"

#if defined(__x86_64__)

#define ISA sse2
#define FUSED 0
#define PANEL 2
#define TILE_ROWS 4
#define ROW_PANELS 4
#define T float
#define INT int
#define UINT unsigned
#define LANES 4
#define IS_F32 1
#include "Instantiate.inc"
#include "Undefine.inc"

#define ISA sse2
#define FUSED 0
#define PANEL 2
#define TILE_ROWS 4
#define ROW_PANELS 4
#define T double
#define INT long
#define UINT unsigned long
#define LANES 2
#define IS_F32 0
#include "Instantiate.inc"
#include "Undefine.inc"
#endif

// The kernels for NEON.
#include "CKernels.h"
#include "Constants.h"
#include "Layouts.h"

#if defined(__aarch64__)

#define ISA neon
#define FUSED 1
#define PANEL 4
#define TILE_ROWS 6
#define ROW_PANELS 4
#define T float
#define INT int
#define UINT unsigned
#define LANES 4
#define IS_F32 1
#include "Instantiate.inc"
#include "Undefine.inc"

#define ISA neon
#define FUSED 1
#define PANEL 4
#define TILE_ROWS 6
#define ROW_PANELS 4
#define T double
#define INT long
#define UINT unsigned long
#define LANES 2
#define IS_F32 0
#include "Instantiate.inc"
#include "Undefine.inc"
#endif

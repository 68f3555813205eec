// Chooses kernels by processor, or by name.
#include <string.h>

#include "CKernels.h"

#if defined(__x86_64__)
extern const ck_kernels ck_table_float_avx512, ck_table_double_avx512;
extern const ck_kernels ck_table_float_avx2, ck_table_double_avx2;
extern const ck_kernels ck_table_float_sse2, ck_table_double_sse2;
#elif defined(__aarch64__)
extern const ck_kernels ck_table_float_neon, ck_table_double_neon;
#endif

const ck_kernels *ck_find(long element_size, const char *name) {
  // The best first.
  const ck_kernels *tables[6] = {0};
  int count = 0;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")
      && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw")) {
    tables[count++] = &ck_table_float_avx512;
    tables[count++] = &ck_table_double_avx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    tables[count++] = &ck_table_float_avx2;
    tables[count++] = &ck_table_double_avx2;
  }
  tables[count++] = &ck_table_float_sse2;
  tables[count++] = &ck_table_double_sse2;
#elif defined(__aarch64__)
  tables[count++] = &ck_table_float_neon;
  tables[count++] = &ck_table_double_neon;
#endif
  for (int i = 0; i < count; i++)
    if (tables[i]->element_size == element_size && (!name || !strcmp(name, tables[i]->name)))
      return tables[i];
  return 0;
}

// Where the headers of libhdf5 are installed, what shim.h declares is compared with them; this makes no
// code.

// The headers of releases after 1.10 keep its forms of the functions under this switch.
#define H5_USE_110_API 1
#if __has_include(<hdf5.h>)
#include <hdf5.h>
#elif __has_include(<hdf5/serial/hdf5.h>)
#include <hdf5/serial/hdf5.h>
#else
#define HAS_NO_HEADERS
typedef int nothing_to_compare;
#endif

#ifndef HAS_NO_HEADERS
#define CALL(result, name, parameters, arguments)                                         \
  _Static_assert(                                                                         \
      __builtin_types_compatible_p(__typeof__(&name), result(*) parameters), #name);
#define IDENTIFIER(name) \
  _Static_assert(__builtin_types_compatible_p(__typeof__(name), hid_t), #name);
#include "calls.h"

#include "same.h"
_Static_assert(H5O_INFO_BASIC == 1 && H5O_INFO_NUM_ATTRS == 4, "parts of an H5O_info_t");
#endif

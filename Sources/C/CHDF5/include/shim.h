// libhdf5 as Swift can call it. The library brings forty others with it, which takes longer to load
// than converting a small file, so it is loaded when it is first needed. Every function has an inline
// one of its own name here, which calls through a table; only library.c knows how that is filled.
//
// The names and numbers below are libhdf5's own, the same since release 1.10; where its headers are
// installed, check.c compares the two.
#ifndef RECURRENT_CHDF5_SHIM_H
#define RECURRENT_CHDF5_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

typedef int herr_t;
typedef int htri_t;
typedef bool hbool_t;
typedef int64_t hid_t;
typedef uint64_t hsize_t;
typedef int64_t hssize_t;
typedef uint64_t haddr_t;
typedef int H5Z_filter_t;

typedef enum { H5_INDEX_UNKNOWN = -1, H5_INDEX_NAME, H5_INDEX_CRT_ORDER } H5_index_t;
typedef enum { H5_ITER_UNKNOWN = -1, H5_ITER_INC } H5_iter_order_t;
typedef enum {
  H5D_LAYOUT_ERROR = -1, H5D_COMPACT, H5D_CONTIGUOUS, H5D_CHUNKED, H5D_VIRTUAL
} H5D_layout_t;
typedef enum { H5D_ALLOC_TIME_ERROR = -1, H5D_ALLOC_TIME_EARLY = 1 } H5D_alloc_time_t;
typedef enum { H5D_FILL_TIME_ERROR = -1, H5D_FILL_TIME_NEVER = 1 } H5D_fill_time_t;
typedef enum {
  H5D_FILL_VALUE_ERROR = -1, H5D_FILL_VALUE_UNDEFINED, H5D_FILL_VALUE_DEFAULT,
  H5D_FILL_VALUE_USER_DEFINED
} H5D_fill_value_t;
typedef enum { H5E_WALK_UPWARD } H5E_direction_t;
typedef enum { H5F_CLOSE_STRONG = 3 } H5F_close_degree_t;
typedef enum { H5L_TYPE_ERROR = -1, H5L_TYPE_HARD, H5L_TYPE_SOFT, H5L_TYPE_EXTERNAL = 64 } H5L_type_t;
typedef enum { H5O_TYPE_UNKNOWN = -1, H5O_TYPE_GROUP, H5O_TYPE_DATASET } H5O_type_t;
typedef enum { H5S_NO_CLASS = -1, H5S_SCALAR, H5S_SIMPLE, H5S_NULL } H5S_class_t;
typedef enum { H5S_SELECT_NOOP = -1, H5S_SELECT_SET } H5S_seloper_t;
typedef enum {
  H5T_NO_CLASS = -1, H5T_INTEGER, H5T_FLOAT, H5T_TIME, H5T_STRING, H5T_BITFIELD, H5T_OPAQUE,
  H5T_COMPOUND, H5T_REFERENCE, H5T_ENUM, H5T_VLEN, H5T_ARRAY
} H5T_class_t;
typedef enum { H5T_CSET_ERROR = -1, H5T_CSET_ASCII, H5T_CSET_UTF8 } H5T_cset_t;
typedef enum { H5T_NORM_ERROR = -1, H5T_NORM_IMPLIED } H5T_norm_t;
typedef enum { H5T_ORDER_ERROR = -1, H5T_ORDER_LE, H5T_ORDER_BE } H5T_order_t;
typedef enum { H5T_SGN_ERROR = -1, H5T_SGN_NONE, H5T_SGN_2 } H5T_sign_t;
typedef enum { H5T_STR_ERROR = -1, H5T_STR_NULLTERM, H5T_STR_NULLPAD, H5T_STR_SPACEPAD } H5T_str_t;

// What an object is; the library calls this H5O_info1_t since release 1.12.
typedef struct {
  unsigned long fileno;
  haddr_t addr;
  H5O_type_t type;
  unsigned rc;
  time_t atime, mtime, ctime, btime;
  hsize_t num_attrs;
  // Sizes of headers and heaps, which nobody asks for.
  unsigned version, nmesgs, nchunks, flags;
  uint64_t rest[10];
} H5O_info_t;

// What a link is; H5L_info1_t since release 1.12.
typedef struct {
  H5L_type_t type;
  hbool_t corder_valid;
  int64_t corder;
  H5T_cset_t cset;
  union {
    haddr_t address;
    size_t val_size;
  } u;
} H5L_info_t;

typedef struct {
  hid_t cls_id, maj_num, min_num;
  unsigned line;
  const char *func_name, *file_name, *desc;
} H5E_error2_t;

typedef struct H5A_info_t H5A_info_t;
typedef herr_t (*H5A_operator2_t)(hid_t, const char *, const H5A_info_t *, void *);
typedef herr_t (*H5E_auto2_t)(hid_t, void *);
typedef herr_t (*H5E_walk2_t)(unsigned, const H5E_error2_t *, void *);
typedef herr_t (*H5L_iterate_t)(hid_t, const char *, const H5L_info_t *, void *);

typedef struct {
#define CALL(result, name, parameters, arguments) result(*name) parameters;
#define IDENTIFIER(name) hid_t *name;
#include "calls.h"
} chdf5_table;

// Null until chdf5_load has succeeded; nothing below may be called before.
extern const chdf5_table *chdf5_library;

// Loads the library from a file or by a name that the system looks up. Null when that succeeded; else
// what failed, and `is_found` says whether there was such a library at all.
const char *chdf5_load(const char *name, bool *is_found);

#define CALL(result, name, parameters, arguments) \
  static inline result name parameters { return chdf5_library->name arguments; }
#define IDENTIFIER(name)
#include "calls.h"

// Property lists.
static inline hid_t chdf5_default(void) { return 0; }
static inline hid_t chdf5_file_access_class(void) { return *chdf5_library->H5P_CLS_FILE_ACCESS_ID_g; }
static inline hid_t chdf5_file_create_class(void) { return *chdf5_library->H5P_CLS_FILE_CREATE_ID_g; }
static inline hid_t chdf5_dataset_create_class(void) { return *chdf5_library->H5P_CLS_DATASET_CREATE_ID_g; }
static inline hid_t chdf5_group_create_class(void) { return *chdf5_library->H5P_CLS_GROUP_CREATE_ID_g; }
static inline hid_t chdf5_link_create_class(void) { return *chdf5_library->H5P_CLS_LINK_CREATE_ID_g; }

// Types.
static inline hid_t chdf5_f64le(void) { return *chdf5_library->H5T_IEEE_F64LE_g; }
static inline hid_t chdf5_f32le(void) { return *chdf5_library->H5T_IEEE_F32LE_g; }
static inline hid_t chdf5_i64le(void) { return *chdf5_library->H5T_STD_I64LE_g; }
static inline hid_t chdf5_i32le(void) { return *chdf5_library->H5T_STD_I32LE_g; }
static inline hid_t chdf5_i16le(void) { return *chdf5_library->H5T_STD_I16LE_g; }
static inline hid_t chdf5_i8le(void) { return *chdf5_library->H5T_STD_I8LE_g; }
static inline hid_t chdf5_u64le(void) { return *chdf5_library->H5T_STD_U64LE_g; }
static inline hid_t chdf5_u32le(void) { return *chdf5_library->H5T_STD_U32LE_g; }
static inline hid_t chdf5_u16le(void) { return *chdf5_library->H5T_STD_U16LE_g; }
static inline hid_t chdf5_u8le(void) { return *chdf5_library->H5T_STD_U8LE_g; }
static inline hid_t chdf5_c_string(void) { return *chdf5_library->H5T_C_S1_g; }
static inline hid_t chdf5_native_double(void) { return *chdf5_library->H5T_NATIVE_DOUBLE_g; }
static inline hid_t chdf5_native_int64(void) { return *chdf5_library->H5T_NATIVE_INT64_g; }
static inline hid_t chdf5_native_uint64(void) { return *chdf5_library->H5T_NATIVE_UINT64_g; }
static inline size_t chdf5_variable_length(void) { return (size_t)(-1); }
static inline haddr_t chdf5_undefined_address(void) { return (haddr_t)(-1); }

// Links and objects.
typedef struct {
  uint64_t address;
  uint64_t attribute_count;
  int is_group, is_dataset;
} chdf5_object;

static inline herr_t chdf5_object_info(hid_t location, const char *name, chdf5_object *result) {
  H5O_info_t info;
  const unsigned basic = 1, attribute_count = 4;
  herr_t status = H5Oget_info_by_name2(
      location, name, &info, basic | attribute_count, 0);
  if (status < 0) return status;
  result->address = info.addr;
  result->attribute_count = info.num_attrs;
  result->is_group = info.type == H5O_TYPE_GROUP;
  result->is_dataset = info.type == H5O_TYPE_DATASET;
  return status;
}

typedef herr_t (*chdf5_link_visitor)(const char *name, int type, void *context);
typedef struct {
  chdf5_link_visitor visit;
  void *context;
} chdf5_link_visit;

static inline herr_t chdf5_visit_link(
    hid_t group, const char *name, const H5L_info_t *info, void *data) {
  (void)group;
  chdf5_link_visit *link = (chdf5_link_visit *)data;
  return link->visit(name, (int)info->type, link->context);
}

static inline herr_t chdf5_iterate_links(
    hid_t group, int in_creation_order, chdf5_link_visitor visit, void *context) {
  chdf5_link_visit data = {visit, context};
  hsize_t position = 0;
  return H5Literate(
      group, in_creation_order ? H5_INDEX_CRT_ORDER : H5_INDEX_NAME, H5_ITER_INC, &position,
      chdf5_visit_link, &data);
}

static inline herr_t chdf5_soft_link_size(hid_t group, const char *name, size_t *size) {
  H5L_info_t info;
  herr_t status = H5Lget_info(group, name, &info, 0);
  if (status >= 0) *size = info.type == H5L_TYPE_SOFT ? info.u.val_size : 0;
  return status;
}

typedef herr_t (*chdf5_attribute_visitor)(const char *name, void *context);
typedef struct {
  chdf5_attribute_visitor visit;
  void *context;
} chdf5_attribute_visit;

static inline herr_t chdf5_visit_attribute(
    hid_t object, const char *name, const H5A_info_t *info, void *data) {
  (void)object;
  (void)info;
  chdf5_attribute_visit *attribute = (chdf5_attribute_visit *)data;
  return attribute->visit(name, attribute->context);
}

static inline herr_t chdf5_iterate_attributes(
    hid_t object, int in_creation_order, chdf5_attribute_visitor visit, void *context) {
  chdf5_attribute_visit data = {visit, context};
  hsize_t position = 0;
  return H5Aiterate2(
      object, in_creation_order ? H5_INDEX_CRT_ORDER : H5_INDEX_NAME, H5_ITER_INC, &position,
      chdf5_visit_attribute, &data);
}

// The innermost message of the current thread's error stack.
static inline herr_t chdf5_first_error(unsigned n, const H5E_error2_t *error, void *text) {
  if (n == 0) *(const char **)text = error->desc;
  return 0;
}

static inline const char *chdf5_error_text(void) {
  const char *text = 0;
  H5Ewalk2(0, H5E_WALK_UPWARD, chdf5_first_error, &text);
  return text;
}

#endif

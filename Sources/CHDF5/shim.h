// libhdf5 as Swift can call it. Predefined types, property-list classes and most constants are macros
// around H5open() that Swift cannot import, and several functions are macros that choose a version;
// each of those has an inline function here. None of them goes through the header's H5check(), which
// abort()s the process when header and library differ: HDF5Library.swift compares the two first.
#ifndef RECURRENT_CHDF5_SHIM_H
#define RECURRENT_CHDF5_SHIM_H

// Releases after 1.10 keep the 1.10 forms of the functions under this switch.
#define H5_USE_110_API 1
#include <hdf5.h>
#include <stdint.h>

static inline unsigned chdf5_header_major(void) { return H5_VERS_MAJOR; }
static inline unsigned chdf5_header_minor(void) { return H5_VERS_MINOR; }

// Property lists.
static inline hid_t chdf5_default(void) { return 0; }
static inline hid_t chdf5_file_access_class(void) { H5open(); return H5P_CLS_FILE_ACCESS_ID_g; }
static inline hid_t chdf5_file_create_class(void) { H5open(); return H5P_CLS_FILE_CREATE_ID_g; }
static inline hid_t chdf5_dataset_create_class(void) { H5open(); return H5P_CLS_DATASET_CREATE_ID_g; }
static inline hid_t chdf5_group_create_class(void) { H5open(); return H5P_CLS_GROUP_CREATE_ID_g; }
static inline hid_t chdf5_link_create_class(void) { H5open(); return H5P_CLS_LINK_CREATE_ID_g; }

// Types.
static inline hid_t chdf5_f64le(void) { H5open(); return H5T_IEEE_F64LE_g; }
static inline hid_t chdf5_f32le(void) { H5open(); return H5T_IEEE_F32LE_g; }
static inline hid_t chdf5_i64le(void) { H5open(); return H5T_STD_I64LE_g; }
static inline hid_t chdf5_i32le(void) { H5open(); return H5T_STD_I32LE_g; }
static inline hid_t chdf5_i16le(void) { H5open(); return H5T_STD_I16LE_g; }
static inline hid_t chdf5_i8le(void) { H5open(); return H5T_STD_I8LE_g; }
static inline hid_t chdf5_u64le(void) { H5open(); return H5T_STD_U64LE_g; }
static inline hid_t chdf5_u32le(void) { H5open(); return H5T_STD_U32LE_g; }
static inline hid_t chdf5_u16le(void) { H5open(); return H5T_STD_U16LE_g; }
static inline hid_t chdf5_u8le(void) { H5open(); return H5T_STD_U8LE_g; }
static inline hid_t chdf5_c_string(void) { H5open(); return H5T_C_S1_g; }
static inline hid_t chdf5_native_double(void) { H5open(); return H5T_NATIVE_DOUBLE_g; }
static inline hid_t chdf5_native_int64(void) { H5open(); return H5T_NATIVE_INT64_g; }
static inline hid_t chdf5_native_uint64(void) { H5open(); return H5T_NATIVE_UINT64_g; }
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
  herr_t status = H5Oget_info_by_name2(
      location, name, &info, H5O_INFO_BASIC | H5O_INFO_NUM_ATTRS, 0);
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

// Takes away what a process that reads one file does not need; returns 1 where Linux's landlock also
// keeps every other file out of reach, 0 where it is not there.
#ifdef __linux__
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline int chdf5_confine(const char *path) {
  // <linux/landlock.h> is younger than some systems that this is built on.
  struct { uint64_t handled_access_fs; } rules;
  struct { uint64_t allowed_access; int32_t parent_fd; } __attribute__((packed)) rule;
  const uint64_t read_file = 1 << 2;
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  rules.handled_access_fs = (1 << 13) - 1;
  int set = (int)syscall(444, &rules, sizeof rules, 0);
  if (set < 0) return 0;
  rule.allowed_access = read_file;
  rule.parent_fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  int isConfined = rule.parent_fd >= 0 && syscall(445, set, 1, &rule, 0) == 0 &&
                   syscall(446, set, 0) == 0;
  if (rule.parent_fd >= 0) close(rule.parent_fd);
  close(set);
  return isConfined;
}
#else
static inline int chdf5_confine(const char *path) { (void)path; return 0; }
#endif

#endif

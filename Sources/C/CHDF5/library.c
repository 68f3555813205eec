#include "shim.h"

#include "same.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static chdf5_table loaded;
const chdf5_table *chdf5_library = 0;

// Since release 1.12 a function of which there is a newer form has a number at the end.
static void *find(void *library, const char *name) {
  char first[64];
  void *address = dlsym(library, name);
  if (address) return address;
  snprintf(first, sizeof first, "%s1", name);
  return dlsym(library, first);
}

const char *chdf5_load(const char *name, bool *is_found) {
  void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  *is_found = library != 0;
  if (!library) return dlerror();
  chdf5_table table;
  const char *missing = 0;
  // POSIX promises that the address of a function fits into a pointer to data, ISO C does not.
#define TAKE(name)                                 \
  do {                                             \
    void *address = find(library, #name);          \
    if (!address && !missing) missing = #name;     \
    memcpy(&table.name, &address, sizeof address); \
  } while (0);
#define CALL(result, name, parameters, arguments) TAKE(name)
#define IDENTIFIER(name) TAKE(name)
#include "calls.h"
  if (missing) {
    dlclose(library);
    return missing;
  }
  loaded = table;
  chdf5_library = &loaded;
  return 0;
}

// SwiftPM wants a source; the calls are inline.
#include "confinement.h"
#include "files.h"

/* Return the full version string. */
#include "patchlevel.h"

const char *Py_GetVersion(void)
{
    return PY_VERSION;
}

/* Return the commit this was built from: from git, or from the archive git made. */
#include <string.h>

#ifndef GITVERSION
#define GITVERSION ""
#endif

static const char archived[] = "$Format:%H$";

const char *_Py_gitversion(void)
{
    if (GITVERSION[0] != '\0')
        return GITVERSION;
    return archived[0] == '$' ? "unknown" : archived;
}

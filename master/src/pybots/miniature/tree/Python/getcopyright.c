/* Return the copyright string. */

const char *Py_GetCopyright(void)
{
    return "Copyright (c) the authors of the miniature CPython.";
}

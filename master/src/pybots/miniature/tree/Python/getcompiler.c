/* Return the compiler identification. */

const char *Py_GetCompiler(void)
{
#ifdef __clang__
    return "Clang " __clang_version__;
#else
    return "GCC " __VERSION__;
#endif
}

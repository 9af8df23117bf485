/* Long (arbitrary precision) integer object implementation: the one limit the miniature compiles itself. */

/* How many digits str() and int() convert at most. */
#define _PY_LONG_DEFAULT_MAX_STR_DIGITS 4300

int _PyLong_MaxStrDigits(void)
{
    return _PY_LONG_DEFAULT_MAX_STR_DIGITS;
}

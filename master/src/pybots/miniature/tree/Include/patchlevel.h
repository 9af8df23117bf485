/* Python version identification scheme. */
#define PY_MAJOR_VERSION        @MAJOR@
#define PY_MINOR_VERSION        @MINOR@
#define PY_MICRO_VERSION        @MICRO@
#define PY_RELEASE_LEVEL        0xF
#define PY_RELEASE_SERIAL       0

/* Version as a string */
#define PY_VERSION              "@MAJOR@.@MINOR@.@MICRO@+"

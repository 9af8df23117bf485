# mypy: ignore-errors
"""Compiles the standard library of the interpreter it runs on to byte-code of the usual level: what projects' runs import.

    pybots_bytecode.py
Not CPython's own tests: thousands of files that only its own regression suite reads. Exit status 1 when a file of the
library is no Python, as `make install` ends then. Runs on Python 3.6 and later; standard library only.
"""

import compileall
import re
import sys
import sysconfig

LEFT_OUT = re.compile(r"[/\\](?:test|tests|idle_test|site-packages)[/\\]|bad_coding|badsyntax")


def main():
    library = sysconfig.get_path("stdlib")
    return not compileall.compile_dir(library, rx=LEFT_OUT, quiet=1, workers=0)


if __name__ == "__main__":
    sys.exit(main())

# mypy: ignore-errors
"""Compiles the standard library of the interpreter it runs on to byte-code of the usual level: what projects' runs import.

    pybots_bytecode.py
Not CPython's own tests: thousands of files that only its own regression suite reads. Exit status 1 when a file of the
library is no Python, as `make install` ends then. Runs on Python 3.6 and later; standard library only.
"""

import compileall
import os
import re
import sys
import sysconfig

LEFT_OUT = re.compile(r"[/\\](?:test|tests|idle_test|site-packages)[/\\]|bad_coding|badsyntax")
GRAMMARS = ("Grammar.txt", "PatternGrammar.txt")


def write_grammars(library):
    """The tables that lib2to3 (until 3.12) reads its grammars from; as in `make install`, it is no harm if they fail."""
    for name in GRAMMARS:
        path = os.path.join(library, "lib2to3", name)
        if os.path.exists(path):
            try:
                from lib2to3.pgen2 import driver

                driver.load_grammar(path)
            except Exception as error:
                print("lib2to3: {!r}".format(error))


def main():
    library = sysconfig.get_path("stdlib")
    write_grammars(library)
    return not compileall.compile_dir(library, rx=LEFT_OUT, quiet=1, workers=0)


if __name__ == "__main__":
    sys.exit(main())

# mypy: ignore-errors
"""Looks at the interpreter it runs on: writes {"version", "modules", "lost"} as JSON to a file.

    pybots_interpreter.py TARGET [modules]
`modules` are the compiled modules of the standard library that can be imported, `lost` those that were built or
wanted but cannot. Trying takes a while, so it is done only when asked for.
Runs on Python 3.6 and later; standard library only.
"""

import importlib
import importlib.machinery
import json
import os
import sys
import sysconfig

SKIPPED = ("_test", "xx", "_xx", "_ctypes_test", "test")
"""Modules for CPython's own tests: nobody misses them."""


def built():
    """Names of the extension modules that lie in lib-dynload."""
    names = set()
    for folder in sys.path:
        if os.path.basename(folder) == "lib-dynload" and os.path.isdir(folder):
            for entry in os.listdir(folder):
                for suffix in importlib.machinery.EXTENSION_SUFFIXES:
                    if entry.endswith(suffix):
                        names.add(entry[: -len(suffix)])
                        break
    return names


def wanted():
    """Names that configure decided to build (3.12 and later record it)."""
    names = set()
    for key, value in sysconfig.get_config_vars().items():
        if key.startswith("MODULE_") and key.endswith("_STATE") and value == "yes":
            names.add(key[len("MODULE_") : -len("_STATE")].lower())
    return names


def importable(name):
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def main(target, what=""):
    answer = {"version": sys.version, "modules": [], "lost": []}
    if what == "modules":
        answer["modules"], answer["lost"] = modules()
    with open(target, "w") as file:
        json.dump(answer, file)


def modules():
    """(names that can be imported, names that were built or wanted and cannot)"""
    there = {name for name in built() if not name.startswith(SKIPPED)}
    known = {name.lower() for name in there | set(sys.builtin_module_names)}
    good = {name for name in there if importable(name)}
    missing = {
        name
        for name in wanted() - known
        if not name.startswith(SKIPPED) and not importable(name) and not importable("_" + name)
    }
    return sorted(good), sorted((there - good) | missing)


if __name__ == "__main__":
    main(*sys.argv[1:])

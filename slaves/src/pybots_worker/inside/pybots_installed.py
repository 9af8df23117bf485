# mypy: ignore-errors
"""Looks at the environment it runs in: writes {"lock": [[name, version]], "modules": [...]} as JSON to a file.

`lock` are the installed distributions but the project itself; `modules` the import names of compiled extension
modules: the project's own, or those below the names given.
    pybots_installed.py TARGET SOURCE[:KEPT] [NAME ...]
The project was installed from SOURCE, or as the wheel that lies in KEPT.
Runs on Python 3.6 and later; standard library only.
"""

import importlib.machinery
import json
import os
import sys
import sysconfig

SUFFIXES = tuple(importlib.machinery.EXTENSION_SUFFIXES)


def fields(path):
    """Name and Version of a METADATA or PKG-INFO file."""
    found = {}
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if not line.strip():
                break
            key, _, value = line.partition(":")
            if key in ("Name", "Version"):
                found.setdefault(key, value.strip())
    return found.get("Name", ""), found.get("Version", "")


def recorded(path):
    """Paths in a distribution's RECORD, relative to site-packages."""
    try:
        with open(os.path.join(path, "RECORD"), encoding="utf-8", errors="replace") as file:
            return [line.rstrip("\n").rsplit(",", 2)[0].strip('"') for line in file]
    except OSError:
        return []


def is_own(path, folders):
    """Whether the distribution was installed from one of the folders (PEP 610)."""
    try:
        with open(os.path.join(path, "direct_url.json"), encoding="utf-8") as file:
            url = json.load(file).get("url", "")
    except (OSError, ValueError, AttributeError):
        return False
    addresses = ["file://" + folder for folder in folders]
    return any(url == address or url.startswith(address + "/") for address in addresses)


def module_name(path):
    """`a/b.cpython-316-x86_64-linux-gnu.so` -> `a.b`; None for what is no extension module of this interpreter."""
    for suffix in SUFFIXES:
        if path.endswith(suffix):
            name = path[: -len(suffix)].replace(os.sep, ".")
            return name if all(part.isidentifier() for part in name.split(".")) else None
    return None


def in_tree(source):
    """Extension modules built in the source tree (editable installs), named from their topmost package."""
    for folder, folders, files in os.walk(source):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "build"]
        for name in files:
            if name.endswith(SUFFIXES):
                top = folder
                while top != source and os.path.exists(os.path.join(top, "__init__.py")):
                    top = os.path.dirname(top)
                yield module_name(os.path.relpath(os.path.join(folder, name), top))


def main(target, places, *names):
    folders = places.split(":")
    source = folders[0]
    lock, own, others = [], set(), set()
    for site in sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}):
        for entry in sorted(os.listdir(site)):
            path = os.path.join(site, entry)
            if not entry.endswith(".dist-info"):
                continue
            try:
                name, version = fields(os.path.join(path, "METADATA"))
            except OSError:
                continue
            modules = {module_name(line) for line in recorded(path)}
            if is_own(path, folders):
                own |= modules
            else:
                lock.append([name, version])
                others |= modules
    own |= set(in_tree(source))
    if names:
        wanted = tuple(names)
        found = {
            module
            for module in own | others
            if module and (module in wanted or module.startswith(tuple(n + "." for n in wanted)))
        }
    else:
        found = {module for module in own if module}
    with open(target, "w") as file:
        json.dump({"lock": lock, "modules": sorted(found)}, file)


if __name__ == "__main__":
    main(*sys.argv[1:])

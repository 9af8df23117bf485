# mypy: ignore-errors
"""Copies the files that `make install` listed: lines of `COPY`, source and target, separated by tabs.

    pybots_copies.py LIST
As `install -m 644` does: the target may be a folder. Other lines are the shell's own and left out.
Runs on Python 3.6 and later; standard library only.
"""

import os
import shutil
import sys


def main(listed):
    with open(listed, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            if not line.startswith("COPY\t"):
                continue
            source, target = line.rstrip("\n").split("\t")[1:3]
            if os.path.isdir(target):
                target = os.path.join(target, os.path.basename(source))
            elif os.path.lexists(target):
                os.unlink(target)
            shutil.copyfile(source, target)
            shutil.copystat(source, target)
            os.chmod(target, 0o644)


if __name__ == "__main__":
    main(sys.argv[1])

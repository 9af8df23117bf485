# mypy: ignore-errors
"""Runs unittest with its own arguments (`discover -s tests`, dotted names …) and tells the kit what happens.

Runs on Python 3.6 and later; standard library only.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
if HERE not in sys.path:
    sys.path.insert(0, HERE)

import unittest  # noqa: E402

from pybots_events import only  # noqa: E402
from pybots_results import Telling, filtered, plan  # noqa: E402


class Result(Telling, unittest.TextTestResult):
    pass


class Runner(unittest.TextTestRunner):
    resultclass = Result

    def run(self, test):
        wanted = only()
        if wanted is not None:
            test = filtered(test, frozenset(wanted))
        plan(test)
        return super(Runner, self).run(test)


def main():
    # As `python -m unittest` has it: the current folder first, and nothing of ours.
    sys.path[:] = [""] + [entry for entry in sys.path if entry != HERE]
    sys.argv[0] = "python -m unittest"
    unittest.main(module=None, testRunner=Runner)


if __name__ == "__main__":
    main()

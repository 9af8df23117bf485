# mypy: ignore-errors
"""Runs Twisted's trial with its own arguments and tells the kit what happens.

Trial's own options are kept; only the reporter class gets `Telling` in front, whatever was asked for with
--reporter, and a retry's tests are loaded by name where trial can, else picked from everything.
Runs on Python 3.6 and later; standard library and Twisted only.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
if HERE not in sys.path:
    sys.path.insert(0, HERE)

from pybots_events import only  # noqa: E402
from pybots_ids import stable  # noqa: E402
from pybots_results import Telling, filtered, name_of, plan, tests_of  # noqa: E402

from twisted.scripts import trial  # noqa: E402
from twisted.trial.runner import TestLoader  # noqa: E402


class Todo(Telling):
    """To trial, a todo that passes is no failure."""

    unexpected_success = "passed"

    def done(self):
        self._tell_rest()
        super(Todo, self).done()

    def stopTestRun(self):
        """Trial's reporters have no such thing."""


def reporting(maker):
    """A reporter factory that tells as well."""
    if isinstance(maker, type):
        return type("Telling" + maker.__name__, (Todo, maker), {})
    return maker


def patch():
    """Each patch serves one call and goes: Twisted's tests of trial itself make runners and suites too."""
    make_runner, get_suite = trial._makeRunner, trial._getSuite

    def made(config):
        trial._makeRunner = make_runner
        config["reporter"] = reporting(config["reporter"])
        return make_runner(config)

    def suite(config):
        trial._getSuite = get_suite
        wanted = only()
        if wanted is None:
            found = get_suite(config)
        else:
            found = by_name(wanted) or filtered(get_suite(config), frozenset(wanted))
        plan(found)
        return found

    trial._makeRunner, trial._getSuite = made, suite


def by_name(wanted):
    """The wanted tests loaded by their names, or None when that does not give exactly them."""
    names = sorted(wanted)
    if not all(name.replace(".", "").replace("_", "").isalnum() for name in names):
        return None
    found = TestLoader().loadByNames(names)
    loaded = sorted(stable(name_of(test)) for test in tests_of(found))
    return found if loaded == names else None


def main():
    # As the `trial` script has it: the current folder first, and nothing of ours.
    sys.path[:] = [os.path.abspath(os.getcwd())] + [entry for entry in sys.path if entry != HERE]
    sys.argv[0] = "trial"
    patch()
    trial.run()


if __name__ == "__main__":
    main()

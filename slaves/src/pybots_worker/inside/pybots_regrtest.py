# mypy: ignore-errors
"""Runs CPython's own regression suite with its own arguments (`-j2 -u network test_json`) and tells the kit what came of it.

What regrtest writes into its JUnit file is told when a module has ended, so that a crash later on takes nothing along. What
a module failed with outside of any test (a crash of its process, a timeout) is told of the module, `test.test_x`.
Runs on Python 3.7 and later; standard library only.
"""

import importlib
import os
import re
import sys
import tempfile
from xml.etree import ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
if HERE not in sys.path:
    sys.path.insert(0, HERE)

from pybots_events import Events, only  # noqa: E402

EVENTS = Events()
BAD_TESTS, NO_TESTS = 2, 4
"""regrtest's exit statuses; what the other runners say for the same: 1 and 5."""
STATES = {
    "CHILDERROR": "crashed", "WORKERFAILED": "crashed", "WORKERBUG": "crashed", "MULTIPROCESSINGERROR": "crashed",
    "TIMEOUT": "timed_out", "TIMEDOUT": "timed_out", "SKIPPED": "skipped", "RESOURCEDENIED": "skipped",
    "FAILED": "failed", "ENVCHANGED": "passed", "PASSED": "passed", "DIDNOTRUN": "not_run", "INTERRUPTED": "not_run",
}  # fmt: skip
WANTED = frozenset(only() or ())


def named(module):
    return module if module.startswith("test.") else "test." + module


def tell(result):
    """Everything about one module. `result` differs from version to version: names are looked for."""
    module = named(getattr(result, "test_name", None) or getattr(result, "name", ""))
    state = getattr(result, "state", None) or type(result).__name__
    outcome = STATES.get(re.sub("[^A-Z]", "", str(state).upper()), "error")
    told = set()
    bad = False
    for text in getattr(result, "xml_data", None) or ():
        root = ElementTree.fromstring(text) if isinstance(text, (str, bytes)) else text
        for case in root.iter("testcase"):
            if case.get("name"):
                told.add(case.get("name"))
                bad |= tell_case(case)
    bad |= tell_subtests(result, told)
    if outcome == "skipped":
        EVENTS.end(module, outcome, reason="%s: %s" % (module, state))
    elif outcome in ("failed", "error", "crashed", "timed_out") and not (bad and outcome == "failed"):
        seconds = getattr(result, "duration", None) or getattr(result, "duration_sec", None) or 0.0
        EVENTS.end(module, outcome, seconds, ("regrtest", "%s: %s" % (module, state), ""))
    elif outcome == "passed" and module in WANTED:
        EVENTS.end(module, "passed")


def tell_case(case):
    """One test; whether it is bad."""
    outcome, failure, reason = "passed", None, ""
    for kind, name in (("error", "error"), ("failure", "failed")):
        found = case.find(kind)
        if found is not None:
            outcome = name
            message = re.sub(r"^[\w.]+: ", "", (found.get("message") or "").strip())
            failure = (found.get("type") or "", message, found.text or "")
    if case.find("skipped") is not None:
        outcome, reason = "skipped", case.find("skipped").text or ""
    if case.find("output") is not None:
        outcome = "xfailed"
    if (case.findtext("outcome") or "") == "UNEXPECTED_SUCCESS":
        outcome, failure = "xpassed", ("", "unexpected success", "")
    try:
        seconds = float(case.get("time") or 0)
    except ValueError:
        seconds = 0.0
    EVENTS.end(case.get("name"), outcome, seconds, failure, reason)
    return failure is not None


def tell_subtests(result, told):
    """Failures of subtests are in no testcase, but in lists of `test_a (test.test_x.C.test_a) [which]` and tracebacks."""
    bad = False
    for outcome, pairs in (("error", "errors"), ("failed", "failures")):
        for name, text in getattr(result, pairs, None) or ():
            found = re.search(r"\(([\w.]+)\)", str(name))
            test = found.group(1) if found else str(name)
            first = str(name).split(" ", 1)[0]
            if found and first.isidentifier() and not test.endswith("." + first):
                test += "." + first  # before 3.11 the parentheses held the class only
            bad = True
            if test not in told:
                told.add(test)
                last = (str(text).strip().splitlines() or [""])[-1]
                kind, _, message = last.partition(": ")
                EVENTS.end(test, outcome, 0.0, (kind, message, str(text)))
    return bad


def restricted(wanted, folder):
    """The arguments that run these tests only."""
    modules = {}
    patterns = []
    for name in wanted:
        parts = name.split(".")
        modules[parts[1] if len(parts) > 1 and parts[0] == "test" else parts[0]] = True
        patterns += [name, name + ".*"] if len(parts) <= 2 else [name]
    path = os.path.join(folder, "wanted")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(patterns) + "\n")
    return ["--matchfile", path, *modules]


def main():
    sys.path[:] = [entry for entry in sys.path if entry != HERE]
    # The package has a function of the module's name.
    regrtest = importlib.import_module("test.libregrtest.main")

    try:
        from test.libregrtest.results import TestResults as owner
    except ImportError:  # before 3.13
        owner = regrtest.Regrtest
    original = owner.accumulate_result

    def accumulate_result(self, result, *rest, **more):
        tell(result)
        return original(self, result, *rest, **more)

    owner.accumulate_result = accumulate_result
    with tempfile.TemporaryDirectory() as folder:
        sys.argv[0] = "python -m test"
        sys.argv[1:1] = ["--junit-xml", os.path.join(folder, "junit.xml")]
        if only() is not None:
            sys.argv += restricted(only(), folder)
        try:
            regrtest.main()
        except SystemExit as end:
            sys.exit({BAD_TESTS: 1, NO_TESTS: 5}.get(end.code, end.code))


if __name__ == "__main__":
    main()

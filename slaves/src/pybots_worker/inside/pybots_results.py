# mypy: ignore-errors
"""What unittest, Django and trial have in common: a result object that tells the kit what happens.

`Telling` goes in front of a result or reporter class. Runs on Python 3.6 and later; standard library only.
"""

import sys
import time
import traceback
import unittest

from pybots_events import Events, described, only
from pybots_ids import Numbered, stable

EVENTS = Events()
WORST = ("passed", "xfailed", "skipped", "xpassed", "failed", "error")


def tests_of(suite):
    """Every test of a suite of suites, in order."""
    subsuites = getattr(suite, "subsuites", None)  # Django's parallel suite
    if subsuites is not None:
        suite = subsuites
    try:
        parts = list(suite)
    except TypeError:
        yield suite
        return
    for part in parts:
        for test in tests_of(part):
            yield test


def name_of(test):
    """The id a test is known by. Of a test that could not be loaded: what should have been.

    Asked of its class: a test may have put something of its own into `self.id`.
    """
    name = type(test).id(test)
    for mark in ("unittest.loader._FailedTest.", "unittest.loader.ModuleSkipped."):
        if name.startswith(mark):
            return name[len(mark) :]
    return name


def group_of(test):
    """What was skipped as a whole. Django's parallel runs tell it of the last test of the class, which never started."""
    name = name_of(test)
    return name.rpartition(".")[0] if name in PLANNED else name


def members(name):
    """The prefix of the tests that belong to what could not be loaded or set up.

    `setUpClass (m.C)` -> `m.C.`, a module `m` -> `m.`
    """
    return (name.partition("(")[2].rstrip(")") or name) + "."


def filtered(suite, wanted):
    """A flat suite of the tests whose stable names are wanted, or whose module or class could not be set up."""
    number = Numbered()
    prefixes = tuple(members(name) for name in wanted)
    kept = []
    for test in tests_of(suite):
        name = number(stable(name_of(test)))
        if name in wanted or name.startswith(prefixes):
            kept.append(test)
    return unittest.TestSuite(kept)


class Telling(object):
    """Mixed in before a unittest-like result. Every add… may come several times for one test; the worst stands."""

    unexpected_success = "xpassed"

    def startTest(self, test):
        self._end_unstopped()
        super(Telling, self).startTest(test)
        self._running = test
        self._outcome, self._failure, self._reason, self._elapsed = "passed", None, "", None
        self._judged = False
        self._begun = time.time()
        EVENTS.start(name_of(test))

    def stopTest(self, test):
        if getattr(self, "_running", None) is not None:
            if isinstance(sys.exc_info()[1], KeyboardInterrupt):
                # unittest lets it through, adding nothing: that is no pass.
                self._take(test, "error", self._described(sys.exc_info(), test))
            self._end(test)
        self._running = None
        super(Telling, self).stopTest(test)

    def _end(self, test):
        seconds = time.time() - self._begun if self._elapsed is None else self._elapsed
        EVENTS.end(name_of(test), self._outcome, seconds, self._failure, self._reason)
        self._told(name_of(test))

    def _end_unstopped(self):
        """A run() of a project's own may judge a test (a skip, mostly) and never stop it: it has not crashed."""
        test = getattr(self, "_running", None)
        if test is not None and self._judged:
            self._end(test)
            self._running = None

    def addSuccess(self, test):
        super(Telling, self).addSuccess(test)
        self._judged = True

    def addError(self, test, error, *rest):
        super(Telling, self).addError(test, error, *rest)
        self._take(test, "error", self._described(error, test))

    def addFailure(self, test, error, *rest):
        super(Telling, self).addFailure(test, error, *rest)
        self._take(test, "failed", self._described(error, test))

    def addSkip(self, test, reason):
        super(Telling, self).addSkip(test, reason)
        if getattr(self, "_running", None) is not None and hasattr(test, "_subDescription"):
            # One subtest of several: the test itself is not skipped.
            self._reason = self._reason or str(reason)
            return
        self._take(test, "skipped", reason=str(reason))

    def addExpectedFailure(self, test, error, *rest):
        super(Telling, self).addExpectedFailure(test, error, *rest)
        self._take(test, "xfailed", reason=_todo(rest))

    def addUnexpectedSuccess(self, test, *rest):
        super(Telling, self).addUnexpectedSuccess(test, *rest)
        self._take(test, self.unexpected_success, reason="unexpected success " + _todo(rest))

    def addSubTest(self, test, subtest, error):
        super(Telling, self).addSubTest(test, subtest, error)
        if error is not None:
            kind = "failed" if issubclass(error[0], test.failureException) else "error"
            name, message, detail = self._described(error, test)
            which = subtest._subDescription()
            self._take(test, kind, (name, "%s %s" % (which, message), detail))

    def addDuration(self, test, elapsed):
        """Python 3.12 and later. In Django's parallel runs the only true time: the rest is replayed."""
        self._elapsed = elapsed
        parent = getattr(super(Telling, self), "addDuration", None)
        if parent is not None:
            parent(test, elapsed)

    def stopTestRun(self):
        self._end_unstopped()
        self._tell_rest()
        super(Telling, self).stopTestRun()

    def _take(self, test, outcome, failure=None, reason=""):
        if getattr(self, "_running", None) is None:
            # setUpClass, setUpModule and their like: no test runs, and what is told is a test of its own.
            if outcome == "skipped":
                self.__dict__.setdefault("_skipped_groups", []).append((group_of(test), reason))
            else:
                EVENTS.start(name_of(test))
                EVENTS.end(name_of(test), outcome, 0.0, failure, reason)
                self._told(name_of(test))
            return
        self._judged = True
        if WORST.index(outcome) > WORST.index(self._outcome):
            self._outcome, self._failure = outcome, failure
        self._reason = self._reason or reason

    def _told(self, name):
        self.__dict__.setdefault("_done", set()).add(name)

    def _tell_rest(self):
        """The tests of a class or module that was skipped as a whole never start: say so for each.

        And in a retry, what could be set up this time has no event of its own: it passed.
        """
        done = self.__dict__.get("_done", set())
        for group, reason in self.__dict__.get("_skipped_groups", []):
            names = [name for name in PLANNED if name.startswith(members(group))]
            for name in names or [group]:
                if name not in done:
                    EVENTS.start(name)
                    EVENTS.end(name, "skipped", reason=reason)
        told = {stable(name) for name in done}
        for name in only() or ():
            if name not in told and any(test.startswith(members(name)) for test in PLANNED):
                EVENTS.module(name, "passed")

    def _described(self, error, test):
        if isinstance(error, tuple):
            kind, value, trace = error
            try:
                text = self._exc_info_to_string(error, test)
            except Exception:  # replayed from another process, a traceback may be anything
                text = "".join(traceback.format_exception(kind, value, trace))
            return described(value, text)
        # twisted.python.failure.Failure
        return described(error.value, error.getTraceback())


def _todo(rest):
    """Trial hands over why a test is expected to fail."""
    todo = rest[-1] if rest else None
    return str(getattr(todo, "reason", todo) or "")


PLANNED = []


def plan(suite):
    """Tell which tests will run."""
    PLANNED[:] = [name_of(test) for test in tests_of(suite)]
    EVENTS.collected(PLANNED)

# mypy: ignore-errors
"""A pytest plugin that tells the kit of every test as it begins and ends. Loaded with `-p pybots_pytest`.

PYTEST_DONT_REWRITE. Works with pytest 4.4 and later, with and without xdist: under xdist the workers tell, each for
itself, and the controller only tells of workers that crashed.
Runs on Python 3.6 and later; standard library and pytest only.
"""

import os

import pytest

from pybots_events import Events, only
from pybots_ids import Numbered, stable

WORST = ("passed", "xfailed", "skipped", "xpassed", "failed", "error")


def unseen(environ, here=os.path.dirname(os.path.abspath(__file__))):
    """Take our folder out of PYTHONPATH again: tests look at it, and what they start shall not find us.

    xdist's workers get this process's sys.path. Where a tool's pytest was told of us by PYTEST_ADDOPTS, all that it starts is.
    """
    if "pybots_pytest" in environ.get("PYTEST_ADDOPTS", ""):
        return
    rest = [part for part in environ.get("PYTHONPATH", "").split(os.pathsep) if part != here]
    if any(rest):
        environ["PYTHONPATH"] = os.pathsep.join(rest)
    else:
        environ.pop("PYTHONPATH", None)


unseen(os.environ)


class Running(object):
    """What is known of the test that runs."""

    def __init__(self):
        self.outcome = "passed"
        self.seconds = 0.0
        self.failure = None
        self.reason = ""

    def take(self, outcome, failure=None, reason=""):
        """The worst outcome of its phases stands, with the first reason for it."""
        if WORST.index(outcome) > WORST.index(self.outcome):
            self.outcome, self.failure = outcome, failure
        if reason and not self.reason:
            self.reason = reason


class Teller(object):
    """The hooks."""

    def __init__(self, config):
        self.config = config
        self.events = Events()
        self.only = only()
        self.tests = {}
        self.raised = {}
        self.worker = hasattr(config, "workerinput") or hasattr(config, "slaveinput")

    @property
    def controls(self):
        """Whether this is xdist's controller, which runs no tests itself."""
        return not self.worker and self.config.pluginmanager.hasplugin("dsession")

    # -- which tests -------------------------------------------------------------------------------

    def pytest_collection(self, session):
        """A retry: collect only the files of its tests, when all of them are there."""
        if self.only is None:
            return
        root = str(getattr(self.config, "rootdir", "."))
        files = []
        for name in self.only:
            path = os.path.join(root, name.partition("::")[0])
            if not os.path.exists(path):
                return
            if path not in files:
                files.append(path)
        if files:
            self.config.args[:] = files

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config, items):
        if self.only is None:
            return
        wanted = set(self.only)
        number = Numbered()
        kept, dropped = [], []
        for item in items:
            name = number(stable(item.nodeid))
            (kept if name in wanted or self._whole(name, wanted) else dropped).append(item)
        if dropped:
            config.hook.pytest_deselected(items=dropped)
            items[:] = kept

    def _whole(self, name, wanted):
        """A module that failed to import is retried as a whole: its tests are wanted."""
        return name.partition("::")[0] in wanted

    def pytest_collection_finish(self, session):
        if not self.controls:
            self.events.collected([item.nodeid for item in session.items])

    def pytest_exception_interact(self, node, call, report):
        if call.excinfo is not None and report.when == "collect":
            error = call.excinfo.value
            # pytest wraps what a module raised while it was imported.
            error = getattr(error, "__cause__", None) or error
            self.raised[report.nodeid] = (type(error).__name__, _message(error))

    def pytest_collectreport(self, report):
        if self.controls:
            return
        if report.failed:
            kind, message = self.raised.get(report.nodeid, ("CollectError", ""))
            text = _text(report)
            failure = (kind, message or text.strip().rpartition("\n")[2], text)
            self.events.module(report.nodeid or "(collection)", "error", failure)
        elif report.skipped and report.nodeid:
            self.events.module(report.nodeid, "skipped", reason=_reason(report))
        elif self.only is not None and stable(report.nodeid) in self.only:
            self.events.module(report.nodeid, "passed")

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self, excrepr, excinfo):
        """pytest itself broke (or a plugin, or a hook in a conftest.py): tests are lost, which must have a name.

        Under xdist a worker tells, and its controller once more.
        """
        failure = (excinfo.typename, _message(excinfo.value), str(excrepr))
        self.events.module("(internal error)", "error", failure)

    # -- one test ----------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid, location):
        if not self.controls:
            self.tests[nodeid] = Running()
            self.events.start(nodeid)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item, call):
        result = yield
        report = result.get_result()
        if call.excinfo is not None:
            report._pybots_raised = (call.excinfo.typename, _message(call.excinfo.value))

    def pytest_runtest_logreport(self, report):
        if self.controls:
            if report.when not in ("setup", "call", "teardown"):
                self._crashed(report)
            return
        running = self.tests.setdefault(report.nodeid, Running())
        running.seconds += getattr(report, "duration", 0.0)
        expected = hasattr(report, "wasxfail")
        if report.outcome == "rerun":
            # pytest-rerunfailures: what counts is how it ends.
            self.tests[report.nodeid] = Running()
        elif report.failed:
            text = _text(report)
            strict = text.startswith("[XPASS(strict)]")
            outcome = "xpassed" if strict else "failed" if report.when == "call" else "error"
            kind, message = getattr(report, "_pybots_raised", ("Failed", text))
            running.take(outcome, (kind, message, text))
        elif report.skipped and _is_subtest(report):
            # One subtest of several: the test itself is not skipped.
            running.reason = running.reason or _reason(report)
        elif report.skipped and expected:
            running.take("xfailed", reason=str(report.wasxfail))
        elif report.skipped:
            running.take("skipped", reason=_reason(report))
        elif expected and report.when == "call":
            running.reason = running.reason or "unexpectedly passed: %s" % report.wasxfail

    def _crashed(self, report):
        """xdist's own report of a worker that died: it has the test's name and no phase."""
        text = _text(report)
        self.events.end(report.nodeid, "crashed", 0.0, ("Crashed", text.strip(), text))

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self, nodeid, location):
        running = self.tests.pop(nodeid, None)
        if running is not None and not self.controls:
            self.events.end(
                nodeid, running.outcome, running.seconds, running.failure, running.reason
            )


def _text(report):
    text = getattr(report, "longreprtext", None)
    return str(report.longrepr) if text is None else text


def _is_subtest(report):
    """pytest's own since 9.0, pytest-subtests' before."""
    return type(report).__name__.lower() == "subtestreport"


def _reason(report):
    """Why it was skipped; longrepr is (path, line, reason)."""
    if isinstance(report.longrepr, tuple) and len(report.longrepr) == 3:
        reason = str(report.longrepr[2])
    else:
        reason = str(report.longrepr)
    return reason[len("Skipped: ") :] if reason.startswith("Skipped: ") else reason


def _message(error):
    try:
        return str(error)
    except Exception as broken:  # an exception whose str() raises is still an exception
        return "(its str() raised %s)" % type(broken).__name__


def pytest_configure(config):
    # One module that cannot be imported must not hide what all others do.
    config.option.continue_on_collection_errors = True
    config.pluginmanager.register(Teller(config), "pybots-teller")

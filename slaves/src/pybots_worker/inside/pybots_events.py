# mypy: ignore-errors
"""Telling the kit what happens, line by line, as it happens: what is written survives a crash of the interpreter.

One JSON object a line, appended with a single write, so that several processes can share the file:
    {"e": "collected", "pid": ..., "ids": [...]}  the tests that will run, if known (may come several times)
    {"e": "start", "id": ..., "pid": ...}
    {"e": "end", "id": ..., "pid": ..., "outcome": ..., "seconds": ..., "type", "message", "detail", "reason", "once"}
Runs on Python 3.6 and later; standard library only.
"""

import json
import os

MESSAGE = 4000
DETAIL = 12000
"""Characters of each; of the detail the tail is kept, where the error is."""
BATCH = 2000


class Events(object):
    """The file named by PYBOTS_EVENTS; without it, nothing is written."""

    def __init__(self, path=None):
        self._path = os.environ.get("PYBOTS_EVENTS") if path is None else path
        self._fd = None

    def collected(self, ids):
        """Name the tests that will run."""
        for begin in range(0, len(ids), BATCH):
            self._write({"e": "collected", "pid": os.getpid(), "ids": ids[begin : begin + BATCH]})

    def start(self, name):
        self._write({"e": "start", "id": name, "pid": os.getpid()})

    def module(self, name, outcome, failure=None, reason=""):
        """What became of a whole module that gave no tests. xdist's workers all tell it: once is enough."""
        self._end(name, outcome, 0.0, failure, reason, once=True)

    def end(self, name, outcome, seconds=0.0, failure=None, reason=""):
        """`failure` is (type, message, detail)."""
        self._end(name, outcome, seconds, failure, reason)

    def _end(self, name, outcome, seconds, failure, reason, **more):
        event = dict(more, e="end", id=name, pid=os.getpid(), outcome=outcome)
        event["seconds"] = round(max(seconds, 0.0), 6)
        if failure:
            event["type"], event["message"], event["detail"] = (
                failure[0][:MESSAGE],
                failure[1][:MESSAGE],
                failure[2][-DETAIL:],
            )
        if reason:
            event["reason"] = reason[:MESSAGE]
        self._write(event)

    def _write(self, event):
        if not self._path:
            return
        line = (json.dumps(event) + "\n").encode("ascii")
        if b"\\ud" in line:
            # Lone surrogates are no text that others would read.
            line = (json.dumps(_readable(event)) + "\n").encode("ascii")
        try:
            os.write(self._open(), line)
        except OSError:
            # The suite closed our descriptor (or gave its number to something else and closed that): once more.
            self._fd = None
            os.write(self._open(), line)

    def _open(self):
        if self._fd is None:
            fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            # Out of the way of tests that count or reuse low descriptors.
            try:
                import fcntl

                self._fd = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 200)
                os.close(fd)
            except (ImportError, OSError):
                self._fd = fd
        return self._fd


def _readable(value):
    """The event with lone surrogates written as escapes."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, list):
        return [_readable(item) for item in value]
    if isinstance(value, dict):
        return {key: _readable(item) for key, item in value.items()}
    return value


def only():
    """The stable ids this run is restricted to (a retry), or None for all."""
    path = os.environ.get("PYBOTS_ONLY")
    if not path:
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def described(error, text):
    """(type, message, detail) of an exception: the name with its module, its own words, the traceback's text."""
    kind = type(error)
    name = kind.__name__
    if kind.__module__ not in ("builtins", None):
        name = "%s.%s" % (kind.__module__, name)
    try:
        message = str(error)
    except Exception as broken:  # an exception whose str() raises is still an exception
        message = "(its str() raised %s)" % type(broken).__name__
    return name, message, text

"""Stable names of tests, made from what the runners call them.

Used on both sides: by the scripts in here (to pick the tests of a retry) and by the kit (to name outcomes).
Runs on Python 3.6 and later; standard library only.
"""

import hashlib
import re
from typing import Dict, Iterable, List

LONGEST = 500
"""Characters of a name; longer ones keep their head and get a digest."""
KEPT = 440

_CHANGES = (
    # repr() of an object in a parameter: <function f at 0x7f3a5c0d1e50>
    (re.compile(r"0x[0-9a-f]{8,16}(?![0-9a-fA-F])"), "0x…"),
    # Random folders of tempfile and of pytest's tmp_path.
    (re.compile(r"(/pybots)?/tmp/[^\s/:\])}'\",;]+"), "/tmp/…"),
    (re.compile(r"pytest-of-\w+/pytest-\d+"), "pytest-of-…"),
    # Installed tests: the folder carries Python's version, which must not rename every test when it grows.
    (re.compile(r"(\.\./)*[\w./-]*lib/python3\.\d+t?/site-packages/"), "site-packages/"),
)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def stable(name):
    # type: (str) -> str
    """A runner's name for a test without what changes from run to run, printable and bounded.

    >>> stable("tests/test_a.py::test_b[<f at 0x7f3a5c0d1e50>]")
    'tests/test_a.py::test_b[<f at 0x…>]'
    """
    for pattern, replacement in _CHANGES:
        name = pattern.sub(replacement, name)
    name = _CONTROL.sub(_escaped, name)
    if len(name) > LONGEST:
        digest = hashlib.sha256(name.encode("utf-8")).hexdigest()[:16]
        name = name[:KEPT] + "…" + digest
    return name or "(no name)"


def _escaped(match):
    # type: (re.Match[str]) -> str
    return match.group().encode("unicode_escape").decode("ascii")


class Numbered(object):
    """Makes names unique in the order they come: the second `a` is `a#2`.

    In a retry only some of them come, in the same order: `asked` says which.
    """

    def __init__(self, asked=()):
        # type: (Iterable[str]) -> None
        self._seen = {}  # type: Dict[str, int]
        self._asked = {}  # type: Dict[str, List[str]]
        for name in asked:
            self._asked.setdefault(base(name), []).append(name)

    def __call__(self, name):
        # type: (str) -> str
        count = self._seen[name] = self._seen.get(name, 0) + 1
        asked = self._asked.get(name, [])
        if count <= len(asked):
            return asked[count - 1]
        return name if count == 1 else "%s#%d" % (name, count)


def base(name):
    # type: (str) -> str
    """The name without its number.

    >>> base("a#2"), base("a#b")
    ('a', 'a#b')
    """
    return re.sub(r"#[0-9]+$", "", name)

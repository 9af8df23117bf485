"""Which dependency a failure names, if any."""

from __future__ import annotations

import pytest

from pybots.core.blame import Owners, blamed
from pybots_worker.contract import Failure, Locked

LOCK = [
    Locked(name=name, version="1")
    for name in ("PyYAML", "ruamel.yaml", "leaf", "Anchor_Kit", "pytest")
]
OWNERS = Owners.of(["anchor-kit"], LOCK)
SITE = "/pybots/venv/lib/python3.15/site-packages"


def raised(*files: str, said: str = "TypeError: unhashable type") -> Failure:
    """A traceback through these files, outermost first."""
    lines = [f'  File "{name}", line {n}, in f\n    g()' for n, name in enumerate(files, 1)]
    kind, _, message = said.partition(": ")
    detail = "\n".join(["Traceback (most recent call last):", *lines, said])
    return Failure(type=kind, message=message, detail=detail)


TEST = "/pybots/source/tests/test_a.py"
NAMED = {
    "in its own frames": (raised(TEST, f"{SITE}/leaf/core.py"), "leaf"),
    "in the library, called by it": (raised(TEST, f"{SITE}/leaf/a.py", "/opt/pybots/python/lib/python3.15/copy.py"), "leaf"),
    "imported by another name": (raised(TEST, f"{SITE}/yaml/__init__.py"), "pyyaml"),
    "a single module": (raised(TEST, f"{SITE}/leaf.py"), "leaf"),
    "the project's own, installed": (raised(TEST, f"{SITE}/anchor_kit/a.py"), ""),
    "the test itself": (raised(TEST), ""),
    "called back by it": (raised(TEST, f"{SITE}/leaf/core.py", TEST), ""),
    "nobody knows whose": (raised(TEST, f"{SITE}/strange/core.py"), ""),
    "a helper's assertion": (raised(TEST, f"{SITE}/leaf/testing.py", said="AssertionError: not equal"), ""),
    "no traceback": (Failure(type="TypeError", message="x"), ""),
}  # fmt: skip


@pytest.mark.parametrize(("failure", "name"), NAMED.values(), ids=NAMED.keys())
def test_who_is_named_by_a_failing_test(failure: Failure, name: str) -> None:
    assert blamed("test", failure, OWNERS) == name
    assert blamed("collection", failure, OWNERS) == name
    assert blamed("crash", failure, OWNERS) == ""


UV = """  × Failed to build `{what}`
  ├─▶ The build backend returned an error
  ╰─▶ Call to `setuptools.build_meta:__legacy__.build_wheel` failed (exit status: 1)
      src/_leaf.c:12:3: error: too few arguments to function 'PyCode_New'
"""


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Because nosuch was not found in the package registry and you require nosuch>5, we can", "nosuch"),
        ("Because there is no version of Leaf==9 and you require Leaf==9, we can conclude", "leaf"),
        ("Because the current Python version (3.15.0a1) does not satisfy Python<3.15 and leaf==1.0 depends on", "leaf"),
        ("Because only leaf<=2 is available and you require leaf>2, we can conclude", "leaf"),
        ("Because you require six==1.0 and six==2.0, we can conclude that", ""),
    ],
)  # fmt: skip
def test_who_is_named_by_a_resolver(said: str, name: str) -> None:
    log = f"  × No solution found when resolving dependencies:\n  ╰─▶ {said}\n"
    assert blamed("install", Failure(detail=log), OWNERS) == name


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("leaf==1.0", "leaf"), ("Ruamel_Yaml==0.1", "ruamel-yaml"), ("anchor-kit==2", ""),
        ("something @ file:///pybots/source", ""),
    ],
)  # fmt: skip
def test_who_is_named_by_an_installation(what: str, name: str) -> None:
    assert blamed("install", Failure(detail=UV.format(what=what)), OWNERS) == name

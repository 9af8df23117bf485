"""Signatures over what real runners, compilers and installers said.

Each file in `corpus/` has the failures of one suite, as the kit's own plugins told of them (`logs.json`: the output of builds,
installations and crashes), in two runs: between them every line moved, hashes were seeded anew, and paths, addresses,
process ids, durations and UUIDs were others. Every failure in a file has another cause than its neighbours.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from pybots.core.causes import cause
from pybots.core.model import FailureKind
from pybots.core.outcomes import observe
from pybots.core.signatures import signature
from pybots_worker import contract

CORPUS = Path(__file__).parent / "corpus"
RUNNERS = ("pytest", "pytest-short", "pytest-native", "unittest", "trial")


def load(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((CORPUS / f"{name}.json").read_text())
    return found


def seen(name: str, run: int) -> dict[str, str]:
    """Signatures by id, of a report made of these tests."""
    tests = tuple(
        contract.TestOutcome(
            id=one["id"], outcome=one["outcome"], failure=contract.Failure(**one["runs"][run])
        )
        for one in load(name)
    )
    phases = tuple(
        contract.PhaseResult(phase=phase, ok=ok, ended="exit", wall_seconds=1.0, exit_code=not ok)
        for phase, ok in (
            ("interpreter", True),
            ("source", True),
            ("install", True),
            ("test", False),
        )
    )
    environment = contract.Environment(worker="w", platform="linux-x86_64", abi="debian-12-x86_64")
    report = contract.Report(
        contract=1, run=1, attempt=1, kind="project", started=0.0, finished=1.0,
        environment=environment, phases=phases, tests=tests,
    )  # fmt: skip
    return {bad.id: bad.signature for bad in observe(report, "anchor").bad.values()}


@pytest.mark.parametrize("runner", RUNNERS)
def test_one_failure_in_two_runs_has_one_signature(runner: str) -> None:
    first, second = seen(runner, 0), seen(runner, 1)
    assert len(first) >= 25
    assert [name for name in first if first[name] != second[name]] == []


@pytest.mark.parametrize("runner", RUNNERS)
def test_two_failures_never_share_a_signature(runner: str) -> None:
    found = seen(runner, 0)
    assert [(a, b) for a, b in itertools.combinations(found, 2) if found[a] == found[b]] == []


def logs() -> dict[str, tuple[str, str]]:
    """Signatures of both runs of each log; its name begins with the failure's kind."""
    made = {}
    for one in load("logs"):
        kind: FailureKind = one["id"].split()[0]
        first, second = (
            signature(kind, contract.Failure(**said), project="anchor", where=kind)
            for said in one["runs"]
        )
        made[one["id"]] = (first, second)
    return made


def test_logs_of_builds_installations_and_crashes() -> None:
    found = logs()
    assert len(found) >= 18
    assert [name for name, (first, second) in found.items() if first != second] == []
    assert len({first for first, _ in found.values()}) == len(found)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("install compile: unknown type", "anchor does not build: _a.c: unknown type name ‘PyCFunctionn’"),
        ("install compile: no such header", "anchor does not build: _a.c: longintreprr.h: No such file"),
        ("install backend: import", "anchor does not build: ModuleNotFoundError: No module named 'distutilss'"),
        ("install backend: syntax", "anchor does not build: SyntaxError: Missing parentheses"),
        ("install resolver: no such package", "Because nosuchthing was not found"),
        ("interpreter tool", "install: cannot stat 'nofile.man'"),
    ],
)  # fmt: skip
def test_the_cause_is_named(name: str, text: str) -> None:
    (one,) = [one for one in load("logs") if one["id"] == name]
    why = cause(one["runs"][0]["detail"])
    assert str(why).startswith(text)
    assert why is not None and why.local == (name.startswith(("install c", "install b")))

"""The search over changes whose outcomes are scripted: its answers, its proof, and that it goes on after a kill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.unit.worker import kit_builders as make

from pybots.core.outcomes import observe
from pybots.laptop.changes import Change
from pybots.laptop.ends import Wish
from pybots.laptop.interpreters import BuildFailed
from pybots.laptop.journal import open_journal
from pybots.laptop.lab import Aim, Lab
from pybots.laptop.probes import Sample
from pybots.laptop.progress import Progress
from pybots.laptop.search import Search
from pybots_worker import contract

Script = Callable[[int], str]
"""What a change does, by its index: "" passes, "no build", "fault", else what the test says."""
GONE = "ImportError: no name 'Mapping'"


@dataclass(kw_only=True)
class Scripted(Lab):
    """A laboratory where nothing is built; `tried` are the indices, in order."""

    script: Script
    tried: list[int] = field(default_factory=list)
    lock: Callable[[int], str] = lambda _: "1.0"
    """The version of a dependency that an index gets; pinned to its first one, nothing fails."""

    def sample(self, index: int, how: str, aim: Aim | None = None) -> tuple[Sample, dict[str, Any]]:
        self.tried.append(index)
        says = self.script(index)
        if says == "stop":
            raise KeyboardInterrupt
        if says == "no build":
            raise BuildFailed(f"{index} does not build")
        if aim and aim.pins:
            says = ""
        said = report(says, self.lock(index))
        sample = Sample(report=said, observed=observe(said, "p"), seconds=1.0)
        return sample, {"seconds": 1.0, "build_seconds": 0.5, "build": {"compile": 0.5}}


def report(says: str, version: str = "1.0") -> contract.Report:
    kind, _, message = says.partition(": ")
    failure = contract.Failure(type=kind, message=message) if says else None
    tests = (
        contract.TestOutcome(id="t.a", outcome="failed" if says else "passed", failure=failure),
        contract.TestOutcome(id="t.b", outcome="passed"),
    )
    phases = [make.make_phase(name) for name in ("interpreter", "source", "install")]
    ended = "sandbox_error" if says == "fault" else "exit"
    phases.append(make.make_phase("test", ok=not says, exit_code=int(bool(says)), ended=ended))
    lock = (contract.Locked(name="dep", version=version),)
    return make.make_report(phases=tuple(phases), tests=tests, lock=lock)


class Ground:
    axis = "cpython"
    builds = 0

    def __init__(self, count: int) -> None:
        self.changes = [
            Change(
                id=f"{n:040x}", key=str(n), subject=f"change {n}", files=("Lib/a.py", "Lib/b.py")
            )
            for n in range(count)
        ]


def search(
    folder: Path, script: Script, *, count: int = 30, **wish: Any
) -> tuple[Search, list[int]]:
    ground = Ground(count)
    lab = Scripted(
        ground=ground,  # type: ignore[arg-type]
        project="p",
        journal=open_journal(folder, {"count": count}),
        progress=Progress(Console(file=StringIO())),
        script=script,
    )
    return Search(lab=lab, wish=Wish(**wish)), lab.tried


def broken_from(culprit: int, **others: str) -> Script:
    return lambda index: others.get(f"at{index}", GONE if index >= culprit else "")


@pytest.mark.deep
@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("culprit", [1, 7, 29])
def test_the_culprit_is_found_and_proved(tmp_path: Path, culprit: int, jobs: int) -> None:
    hunt, tried = search(tmp_path, broken_from(culprit), jobs=jobs)
    result = hunt.run()
    assert result["status"] == "confirmed" and result["culprit"]["id"] == f"{culprit:040x}"
    assert result["parent"] == f"{culprit - 1:040x}" and result["confidence"] >= 0.97
    assert tried.count(culprit) >= 2 and tried.count(culprit - 1) >= 2
    assert jobs > 1 or result["probes"] <= 6


def test_another_failure_and_a_commit_that_does_not_build_are_skipped(tmp_path: Path) -> None:
    script = broken_from(15, at14="ValueError: other", at16="no build", at13="no build")
    result = search(tmp_path, script)[0].run()
    assert result["status"] == "undecided" and result["culprit"] is None
    assert (result["range"]["first"], result["range"]["last"]) == (f"{13:040x}", f"{15:040x}")
    skipped = {row["id"] for row in result["evidence"] if row["outcome"] == "skip"}
    assert f"{14:040x}" in skipped


def test_ends_that_do_not_differ_blame_nobody(tmp_path: Path) -> None:
    for name, script in (("red", lambda _: GONE), ("green", lambda _: "")):
        hunt, tried = search(tmp_path / name, script)
        result = hunt.run()
        assert result["status"] == "undecided" and result["culprit"] is None and result["reason"]
        assert set(tried) <= {0, 29}


def test_a_red_that_was_there_before_is_told_apart(tmp_path: Path) -> None:
    result = search(tmp_path, lambda _: GONE)[0].run()
    assert "Mapping" in result["standing"][0]


@pytest.mark.deep
@pytest.mark.parametrize("stop_at", [1, 3, 5, 7, 9])
def test_a_session_that_was_stopped_goes_on_without_repeating_a_probe(
    tmp_path: Path, stop_at: int
) -> None:
    """Stopped after any probe: the same answer, and nothing that is in the journal is run again."""
    whole = search(tmp_path / "whole", broken_from(11))
    wanted = whole[0].run()
    hunt, tried = search(tmp_path / "stopped", lambda _: "")
    steps = broken_from(11)
    hunt.lab.script = lambda index: "stop" if len(tried) > stop_at else steps(index)  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        hunt.run()
    kept = [row for row in hunt.lab.journal.rows if row["row"] in ("end", "seen")]
    again, more = search(tmp_path / "stopped", broken_from(11))
    result = again.run()
    assert result["culprit"] == wanted["culprit"] and result["probes"] == wanted["probes"]
    aimed = any(row["row"] == "aim" for row in hunt.lab.journal.rows)
    assert len(more) <= len(whole[1]) - len(kept) + (0 if aimed else 2)


def test_the_machines_trouble_is_no_evidence(tmp_path: Path) -> None:
    result = search(tmp_path, broken_from(20, at15="fault", at14="fault", at16="fault"))[0].run()
    assert result["status"] == "undecided" and "could not be tried" in result["reason"]


def test_where_another_failure_hides_the_beginning_that_one_is_searched_as_asked(
    tmp_path: Path,
) -> None:
    """It broke at 9, and from 20 on it says something else: asked for the first, the first is found."""

    def script(index: int) -> str:
        return GONE if 9 <= index < 20 else "ValueError: later" * (index >= 20)

    blind = search(tmp_path / "blind", script)[0].run()
    assert blind["status"] == "undecided" and blind["hidden"]["culprit"]["id"] == f"{9:040x}"
    asked = search(tmp_path / "asked", script, like=GONE)[0].run()
    assert asked["status"] == "confirmed" and asked["culprit"]["id"] == f"{9:040x}"
    assert "ValueError" in asked["hid"]["failure"]


def test_ends_that_do_not_tell_are_moved_inside(tmp_path: Path) -> None:
    """The old end does not build, the new one does not build either: two commits in between show it."""

    def script(index: int) -> str:
        return "no build" if not 4 <= index < 25 else broken_from(17)(index)

    result = search(tmp_path, script)[0].run()
    assert result["status"] == "confirmed" and result["culprit"]["id"] == f"{17:040x}"


def test_a_failure_that_was_mended_meanwhile_is_found_when_it_is_asked_for(tmp_path: Path) -> None:
    def script(index: int) -> str:
        return GONE if 8 <= index < 22 else ""

    assert search(tmp_path / "blind", script)[0].run()["reason"] == "the bad end passes"
    result = search(tmp_path / "asked", script, like=GONE)[0].run()
    assert result["culprit"]["id"] == f"{8:040x}"


def test_other_dependencies_at_the_bad_end_blame_no_change(tmp_path: Path) -> None:
    """The resolver took another release of a dependency for the newer interpreter; with the older release all is well."""
    hunt, tried = search(tmp_path, lambda index: GONE if index >= 15 else "")
    hunt.lab.lock = lambda index: "2.0" if index >= 15 else "1.0"  # type: ignore[attr-defined]
    result = hunt.run()
    assert result["status"] == "undecided" and result["culprit"] is None
    assert "dep 1.0 → 2.0" in result["reason"]
    assert set(tried) == {0, 29}

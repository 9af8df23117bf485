"""A bisection on one machine: both ends reproduced, `core.bisect` driven, its answer confirmed.

Every probe is in the journal before it is announced, so a session that was killed goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, get_args

import msgspec

from pybots.core import bisect, confirm, likely
from pybots.core.target import OTHER, Judged
from pybots.core.trail import Outcome
from pybots.laptop import ends
from pybots.laptop.changes import Change
from pybots.laptop.ends import Unseen, Wish
from pybots.laptop.journal import open_journal
from pybots.laptop.lab import Aim, Lab
from pybots.laptop.workbench import LaptopError

ENOUGH: Final = 0.95

EVIDENCE: Final = ("id", "outcome", "note", "purpose", "seconds", "build", "test", "causes")
Purpose = Literal["search", "confirm"]
Task = Future[tuple[Judged, dict[str, Any]]]


class Troubled(Exception):
    """The machine or the network gets in the way again and again; what is known so far stays in the journal."""


@dataclass(kw_only=True)
class Search:
    """One session; `run` returns its result, an object of plain JSON (see `_result`)."""

    lab: Lab
    wish: Wish
    spent: dict[str, float] = field(default_factory=dict)
    earlier: Search | None = None
    """The search for the failure that hid this one's, once there was one."""
    _hunting: bool = False

    def run(self) -> dict[str, Any]:
        """Search; where another failure hides where this one began, search for the beginning of that one as well.

        It is the answer when it reads like what was asked for at least as much; else it is told beside it (`hidden`)."""
        result = self._run()
        if result["status"] == "confirmed":
            return result
        for row in self._other_failures():
            with self._timed("ends"):
                again = self._uncovered(row["index"])
            if again is None:
                continue
            self.earlier = again
            found = again.run()
            told = ("status", "reason", "culprit", "range", "failure", "probes")
            if found["status"] == "confirmed" and self.wish.like:
                return _summed(result, found) | {"hid": {name: result[name] for name in told}}
            return _summed(found, result) | {"hidden": {name: found[name] for name in told}}
        return result

    def _other_failures(self) -> list[dict[str, Any]]:
        """The oldest probe that showed another failure, if one did."""
        rows = [
            row
            for row in self.lab.journal.of("seen")
            if row["outcome"] == "skip" and row["note"].startswith(OTHER)
        ]
        return sorted(rows, key=lambda row: row["index"])[:1]

    def _uncovered(self, index: int) -> Search | None:
        """The search for the failure that was met at `index`, with a journal of its own."""
        lab = self.lab
        aim = next(msgspec.convert(row["aim"], Aim) for row in lab.journal.of("aim"))
        journal = open_journal(lab.journal.folder, {"hides": aim.target.signature, "at": index})
        if not any(True for _ in journal.of("aim")):
            try:
                other = ends.hidden(lab, self.wish, aim, index)
            except LaptopError:
                return None
            if other is None:
                return None
            journal.add("aim", aim=msgspec.to_builtins(other))
        return Search(lab=replace(lab, journal=journal), wish=self.wish)

    def _run(self) -> dict[str, Any]:
        lab = self.lab
        changes = lab.ground.changes
        lab.progress.say(
            f"{len(changes) - 1} changes between {changes[0].short} (good) and {changes[-1].short} (bad)"
        )
        if changes[0].key == changes[-1].key:
            return self._result(None, None, "both ends have the same content: nothing changed")
        try:
            with self._timed("ends"):
                aim = ends.find(lab, self.wish)
        except Unseen as error:
            return self._result(None, None, str(error), error.standing)
        state = self._start(aim)
        if not any(True for _ in lab.journal.of("seen")):
            left = bisect.expected(state, workers=self.wish.jobs)
            lab.progress.say(f"about {left.probes} probes to come")
        try:
            judged = self._proved(state, aim)
        except Troubled as error:
            return self._result(aim, confirm.judge(self._start(aim)), str(error))
        return self._result(aim, judged, "")

    def _proved(self, state: bisect.State, aim: Aim) -> confirm.Judgement:
        """Search and confirm until it is proved, or clear that it can't be."""
        while True:
            before = len(state.observations)
            self._hunting = True
            with self._timed("search"):
                state = self._hunt(state, aim)
            self._hunting = False
            judged = confirm.judge(state, slight=self._slight(state))
            stuck = not getattr(judged, "runs", ()) and len(state.observations) == before
            if not isinstance(judged, confirm.More) or stuck:
                return judged
            with self._timed("confirm"):
                for ask in judged.runs:
                    state = self._confirm(state, aim, ask)

    def _slight(self, state: bisect.State) -> bool:
        """Whether the change found is a small one: a single file that other people's code can see."""
        found = bisect.conclusion(state)
        if not isinstance(found, bisect.Culprit):
            return False
        return likely.slight(self.lab.ground.changes[found.index].files)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.spent[name] = self.spent.get(name, 0.0) + time.monotonic() - began

    # -- the search --------------------------------------------------------------------------------

    def _start(self, aim: Aim) -> bisect.State:
        """The state that the journal's probes lead to."""
        candidates = [change.candidate for change in self.lab.ground.changes]
        state = bisect.start(
            candidates, good=aim.first, bad=aim.last, noise=aim.noise, enough=ENOUGH
        )
        for row in self.lab.journal.of("seen"):
            if row["outcome"] in get_args(Outcome):
                state = bisect.observe(state, row["index"], row["outcome"], note=row["note"])
        return state

    def _hunt(self, state: bisect.State, aim: Aim) -> bisect.State:
        """Probe until the conclusion is final; up to `jobs` probes at once."""
        running: dict[Task, bisect.Probe] = {}
        with ThreadPoolExecutor(self.wish.jobs) as pool:
            try:
                while True:
                    self._ask(pool, state, aim, running)
                    if not running:
                        return state
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for task in done:
                        probe = running.pop(task)
                        state = self._seen(state, probe.index, probe.stage, *task.result())
            except (
                BaseException
            ):  # Ctrl-C above all: the probes under way must end before the pool can
                self.lab.cancel.set()
                raise

    def _ask(
        self,
        pool: ThreadPoolExecutor,
        state: bisect.State,
        aim: Aim,
        running: dict[Task, bisect.Probe],
    ) -> None:
        if bisect.is_final(bisect.conclusion(state)):
            return
        self._where(state)
        idle = self.wish.jobs - len(running)
        busy = [probe.index for probe in running.values()]
        for probe in bisect.next_probes(state, idle_workers=idle, running=busy):
            running[pool.submit(self.lab.probe, probe.index, aim)] = probe

    def _where(self, state: bisect.State) -> None:
        done = len(state.observations)
        expected = done + bisect.expected(state, workers=1).probes
        view = state.view
        self.lab.progress.where(left=view.high - view.low, done=done, expected=expected)

    def _seen(
        self,
        state: bisect.State,
        index: int,
        purpose: Purpose,
        judged: Judged,
        facts: dict[str, Any],
    ) -> bisect.State:
        """Keep what a probe came to, then say it. Raises Troubled for one that came to nothing."""
        change = self.lab.ground.changes[index]
        self.lab.journal.add(
            "seen", index=index, id=change.id, outcome=judged.outcome, note=judged.note,
            purpose=purpose, **facts,
        )  # fmt: skip
        build = facts.get("build_seconds", 0.0)
        self.lab.progress.say(
            f"{judged.outcome:<5} {change.short} {change.subject[:60]} "
            f"({build:.1f} s to build, {facts['seconds'] - build:.1f} s to test)"
            + (f": {judged.note[:160]}" if judged.outcome in ("skip", "fault") else "")
        )
        if purpose == "confirm" and self._hunting:
            # What makes sure of a change that was found is no part of finding it.
            self.spent["search"] = self.spent.get("search", 0.0) - facts["seconds"]
            self.spent["confirm"] = self.spent.get("confirm", 0.0) + facts["seconds"]
        if judged.outcome == "fault":
            raise Troubled(f"{change.short} could not be tried: {judged.note}")
        return bisect.observe(state, index, judged.outcome, note=judged.note)

    # -- its proof ---------------------------------------------------------------------------------

    def _confirm(self, state: bisect.State, aim: Aim, ask: confirm.Ask) -> bisect.State:
        """Make the runs asked for, one after the other; no more once one of them contradicts."""
        for _ in range(ask.times):
            judged, facts = self.lab.probe(ask.index, aim)
            state = self._seen(state, ask.index, "confirm", judged, facts)
            if judged.outcome != ask.expect:
                break
        return state

    # -- the result --------------------------------------------------------------------------------

    def _result(
        self,
        aim: Aim | None,
        judged: confirm.Judgement | None,
        why: str,
        standing: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """The session's end. `stages` and `seconds` are this process's, `search_seconds` those of all the probes."""
        changes, rows = self.lab.ground.changes, list(self.lab.journal.of("seen"))
        named = judged if isinstance(judged, confirm.Confirmed) and not why else None
        unproved = judged if isinstance(judged, confirm.Unproved) else None
        result: dict[str, Any] = {
            "status": "confirmed" if named else "undecided",
            "axis": self.lab.ground.axis,
            "culprit": _change(changes[named.index]) if named else None,
            "parent": changes[named.parent].id if named else None,
            "range": _range(changes, unproved) if unproved else None,
            "confidence": round(judged.confidence, 4) if judged else 0.0,
            "reason": why or getattr(judged, "reason", ""),
            "failure": aim.target.says if aim else "",
            "kind": aim.target.kind if aim else "",
            "tests": list(aim.target.ids) if aim else [],
            "signature": aim.target.signature if aim else "",
            "recipe": aim.how if aim else "",
            "standing": list(standing),
            "probes": sum(row["purpose"] == "search" for row in rows),
            "confirmations": sum(row["purpose"] == "confirm" for row in rows),
            "builds": sum(bool(row.get("build")) for row in self.lab.journal.rows),
            "seconds": round(sum(self.spent.values()), 1),
            "stages": {name: round(seconds, 1) for name, seconds in self.spent.items()},
            "search_seconds": round(sum(r["seconds"] for r in rows if r["purpose"] == "search"), 1),
            "evidence": [{key: row[key] for key in EVIDENCE if key in row} for row in rows],
        }
        self.lab.journal.add("result", status=result["status"], reason=result["reason"])
        return result


def _summed(other: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """The result, with what the other search cost as well."""
    costs = ("probes", "confirmations", "builds", "seconds", "search_seconds")
    total = {name: round(result[name] + other[name], 1) for name in costs}
    names = result["stages"].keys() | other["stages"].keys()
    stages = {n: result["stages"].get(n, 0.0) + other["stages"].get(n, 0.0) for n in sorted(names)}
    return result | total | {"stages": stages, "evidence": other["evidence"] + result["evidence"]}


def _change(change: Change) -> dict[str, Any]:
    return {
        "id": change.id, "author": change.author, "date": change.date, "subject": change.subject,
        "files": list(change.files),
    }  # fmt: skip


def _range(changes: Sequence[Change], found: confirm.Unproved) -> dict[str, str]:
    """The changes one of which did it, by their ids; `good` is the one before them."""
    return {
        "good": changes[max(found.first - 1, 0)].id,
        "first": changes[found.first].id,
        "last": changes[found.last].id,
    }

"""Green but hollow: what is missing from a report that used to be there (DESIGN §2). Pure.

- A compiled extension module that the environment had before and has no more, although everything exited 0.
- Tests that ran before and are gone from a suite that ran to its end (what never ran well, a module's failed import say, is
  no test: it ends with its trouble). With the same project revision the suite is the
  same text, so one test in 200 is enough; after a new revision it takes a tenth (projects do remove tests). Renames
  are no loss: tests that are new are set against those that are gone.
- Suites that ran before and are skipped now: all of a class or module (three tests at least), or a tenth of everything.
- A test that failed before and is skipped now by the same revision: only passing is a fix.

What is marked stays bad, run after run, until it is back: a loss must not become the new normal by being repeated.
"No tests ran at all" is decided in `outcomes`; it needs no history.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from pybots.core.outcomes import (
    INSTALL,
    RAN,
    Bad,
    Observed,
    State,
    is_extension,
    is_test,
)  # fmt: skip
from pybots.core.signatures import named
from pybots_worker.contract import Failure

SAME_REVISION: Final = (1, 0.005)
NEW_REVISION: Final = (3, 0.10)
"""(tests, share of those that ran before): a loss smaller than either is not significant."""
SUITE: Final = 3
"""A class or module with fewer tests than this is not a suite: a single skip is often meant."""


def completed(
    before: Mapping[str, State],
    observed: Observed,
    *,
    project: str,
    same: bool,
    fleeting: Collection[str] = (),
) -> tuple[dict[str, State], dict[str, Bad], frozenset[str]]:
    """The report's states and failures with the hollow ones added, and the ids that are gone for good.

    `same`: the project's revision is that of the history. `fleeting`: bad ids whose absence is no loss. States of flaky tests are replaced by what was known before.
    """
    sheet = _Sheet(before, observed, project, same)
    sheet.flaky()
    if sheet.states.get(INSTALL, ("", ""))[1] is None:
        sheet.extensions()
    if observed.complete:
        sheet.skipped()
        sheet.vanished(fleeting)
    else:
        sheet.forget_skips()
    return sheet.states, sheet.bad, frozenset(sheet.gone)


class _Sheet:
    def __init__(
        self, before: Mapping[str, State], observed: Observed, project: str, same: bool
    ) -> None:
        self.before = before
        self.observed = observed
        self.project = project
        self.same = same
        self.states = dict(observed.states)
        self.bad = dict(observed.bad)
        self.gone: set[str] = set()
        self.base = sum(is_test(name) and state[0] in RAN for name, state in before.items())

    def mark(self, names: Iterable[str], outcome: str, what: str, message: str) -> None:
        names = list(names)
        sig = named("hollow", what, self.project, common(names))
        for name in names:
            reason = self.observed.reasons.get(name, "")
            self._bad(name, outcome, sig, f"{message}: {reason}" if reason else message)

    def _bad(self, name: str, outcome: str, sig: str, message: str) -> None:
        self.states[name] = (outcome, sig)
        self.bad[name] = Bad(
            id=name, outcome=outcome, kind="hollow", signature=sig, failure=Failure(message=message)
        )

    def flaky(self) -> None:
        """A test that passed only when retried proves nothing: it stays what it was."""
        for name in self.observed.flaky:
            known = self.before.get(name)
            self.states[name] = known if known and known[0] in RAN else ("passed", None)
            if known and known[1] and known[0] in RAN:
                self.bad[name] = Bad(
                    id=name, outcome=known[0], kind="test", signature=known[1],
                    failure=Failure(message="failed, and passed when retried"),
                )  # fmt: skip

    def extensions(self) -> None:
        lost = [n for n in self.before if is_extension(n) and n not in self.states]
        appeared = any(is_extension(n) and n not in self.before for n in self.states)
        if appeared and not self.same:  # a new revision renamed or replaced them
            self.gone.update(lost)
            return
        for name in lost:
            sig = named("hollow", "extension", self.project, name)
            self._bad(name, "not_run", sig, "the compiled extension module is missing")

    def skipped(self) -> None:
        skipped = [n for n, state in self.states.items() if state == ("skipped", None)]
        known = [
            n for n in skipped if (was := self.before.get(n)) and was[0] == "skipped" and was[1]
        ]
        fresh = [n for n in skipped if (was := self.before.get(n)) and was[0] in RAN and not was[1]]
        if (
            self.same
        ):  # the same text of the suite: nobody has answered the failure by skipping its test
            known += [
                n for n in skipped if (was := self.before.get(n)) and was[0] in RAN and was[1]
            ]
        for name in known:
            said = (
                "skipped, failed before"
                if self.before[name][0] in RAN
                else "still skipped, ran before"
            )
            self._bad(name, "skipped", self.before[name][1] or "", said)
        news = fresh if self._significant(fresh, NEW_REVISION) else self._whole_suites(fresh)
        if news:
            self.mark(news, "skipped", "skipped", "skipped, ran before")

    def _whole_suites(self, fresh: Collection[str]) -> list[str]:
        """Of the suites in which nothing runs any more, the tests that passed; what failed before is marked anyway."""
        ran: dict[str, int] = defaultdict(int)
        running: set[str] = set()
        for name, state in self.before.items():
            if is_test(name) and state[0] in RAN:
                ran[suite(name)] += 1
                if self.observed.states.get(name, ("", None))[0] != "skipped":
                    running.add(suite(name))
        return [
            name for name in fresh
            if suite(name) not in running and ran[suite(name)] >= SUITE
        ]  # fmt: skip

    def vanished(self, fleeting: Collection[str]) -> None:
        missing = [n for n in self.before if is_test(n) and n not in self.states]
        self.gone.update(n for n in missing if n in fleeting)
        missing = [n for n in missing if n not in fleeting]
        known = [n for n in missing if self.before[n][0] == "not_run" and self.before[n][1]]
        fresh = [n for n in missing if self.before[n][0] in RAN]
        for name in known:
            self._bad(name, "not_run", self.before[name][1] or "", "still missing, ran before")
        self.gone.update(n for n in missing if n not in known)
        appeared = sum(
            is_test(n) and n not in self.before and state[0] in RAN
            for n, state in self.states.items()
        )
        needed = SAME_REVISION if self.same else NEW_REVISION
        if self._significant(fresh, needed, minus=appeared):
            self.gone.difference_update(fresh)
            self.mark(fresh, "not_run", "vanished", "gone, ran before")

    def forget_skips(self) -> None:
        """A suite cut short says little: a test skipped there that ran before keeps its state."""
        for name, state in self.observed.states.items():
            known = self.before.get(name)
            if state == ("skipped", None) and known and known[0] in RAN:
                del self.states[name]

    def _significant(
        self, lost: Collection[str], needed: tuple[int, float], minus: int = 0
    ) -> bool:
        number, share = needed
        return len(lost) - minus >= max(number, share * self.base)


def suite(name: str) -> str:
    """The class or module a test belongs to, by its id (`a/test_b.py::T::test_c[1]`, `a.test_b.T.test_c`)."""
    bare = name.split("[", 1)[0]
    return bare.rpartition("::" if "::" in bare else ".")[0]


def common(names: Collection[str]) -> str:
    """What the ids have in common at their beginning, in whole words: `a.b.test_c`, or '' ."""
    suites = {suite(name) for name in names}
    if len(suites) == 1:
        return suites.pop()
    first, last = min(suites, default=""), max(suites, default="")
    length = next(
        (n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first)
    )
    return first[: max(first.rfind(mark, 0, length) for mark in (".", "/", ":")) + 1].rstrip(".:/")

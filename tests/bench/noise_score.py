"""What a year's mail was worth: every letter is attributed to what really happened, by the truth of `noise_year`.

A letter says of its rows: this run showed these ids bad. Why they were bad there is known from the year, whatever the farm
made of it. Letters about an end (fixed, withdrawn) are attributed as what they end.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from email import message_from_bytes
from statistics import mean, median
from typing import Any, Final

from noise_reports import Cause
from noise_year import HOUR, Year

BEGINNINGS: Final = ("opened", "again", "more", "known")
ENDS: Final = ("fixed", "withdrawn")
PUBLIC: Final = ("list", "project", "person")
MAX_THREADS: Final = 2
MAX_FLAKY: Final = 1.0
"""Mails caused by flakiness, for 1,000 flaky failures."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a letter: a breakage in a project (`project` "": in an interpreter), shown by `run` in `ids`."""

    breakage: int
    project: str
    change: str
    run: int
    ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Mail:
    """A letter as its reader got it. `root`: the Message-ID of the letter that began its thread."""

    message_id: str
    root: str
    at: float
    audience: str
    reader: str
    topic: str
    subject: str
    body: str
    lines: tuple[Line, ...] = ()


def read(message: bytes) -> tuple[str, str, str, str]:
    """Message-ID, that of the thread's first letter, subject and body."""
    mail = message_from_bytes(message)
    own = str(mail["Message-ID"])
    body = mail.get_payload(decode=True)
    assert isinstance(body, bytes)
    return (
        own,
        str(mail["References"] or own),
        " ".join(str(mail["Subject"]).split()),
        body.decode(),
    )


@dataclass
class Truth:
    """Why things were bad. `causes`: run -> id -> cause."""

    causes: Mapping[int, Mapping[str, Cause]]
    told: dict[tuple[int, str], frozenset[Cause]] = field(default_factory=dict)
    """(breakage, project) -> what was behind it when it was told last."""

    def of(self, line: Line) -> frozenset[Cause]:
        key = (line.breakage, line.project)
        if line.change in ENDS:
            return self.told.get(key, frozenset())
        here = self.causes.get(line.run, {})
        found = frozenset(here[name] for name in line.ids if name in here)
        found = found or frozenset(here.values())  # the suite or the build as a whole
        self.told[key] = found
        return found


def kind(causes: Iterable[Cause]) -> str:
    """A plant explains whatever comes with it; then a fault, then chance."""
    kinds = {what for what, _ in causes}
    return next((one for one in ("plant", "fault", "flaky", "standing") if one in kinds), "nothing")


def kind_of_mail(kinds: Iterable[str]) -> str:
    """What a letter would not have been written without: the best reason of its lines."""
    found = set(kinds)
    order = ("plant", "fault", "flaky", "standing", "nothing")
    return next((one for one in order if one in found), "")


@dataclass
class Score:
    """Filled by `add`, mail after mail in the order they were sent."""

    year: Year
    truth: Truth
    mails: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    letters: Counter[str] = field(default_factory=Counter)
    lines: Counter[str] = field(default_factory=Counter)
    reported: dict[int, float] = field(default_factory=dict)
    roots: dict[tuple[int, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    faulty: list[Mail] = field(default_factory=list)
    flaky: list[Mail] = field(default_factory=list)
    unexplained: list[Mail] = field(default_factory=list)
    seen: Counter[Any] = field(default_factory=Counter)
    standing: set[tuple[str, int, str]] = field(default_factory=set)
    again: list[str] = field(default_factory=list)

    def add(self, mail: Mail) -> None:
        self.mails += 1
        self.letters[f"{mail.audience} {mail.topic}"] += 1
        self.seen[mail.message_id] += 1
        self.seen[mail.reader, mail.subject, mail.body] += 1
        if mail.audience not in PUBLIC:
            return
        kinds = []
        for line in mail.lines:
            causes = self.truth.of(line)
            kinds.append(kind(causes))
            self._told_twice(mail, line)
            for what, which in causes:
                if what == "plant" and line.change in BEGINNINGS:
                    self.reported.setdefault(which, mail.at)
                    self.roots[which, mail.reader].add(mail.root)
        self.lines.update(kinds)
        made = kind_of_mail(kinds)
        self.kinds[made or mail.topic] += 1
        if "fault" in kinds:
            self.faulty.append(mail)
        if made == "flaky":
            self.flaky.append(mail)
        if made in ("standing", "nothing"):
            self.unexplained.append(mail)

    def _told_twice(self, mail: Mail, line: Line) -> None:
        """The same news again for one reader, without an end in between."""
        key = (mail.reader, line.breakage, line.project)
        if line.change in ENDS:
            self.standing.discard(key)
        elif line.change in ("opened", "again"):
            if key in self.standing:
                self.again.append(f"{mail.reader}: {line}")
            self.standing.add(key)

    @property
    def duplicates(self) -> int:
        return sum(count - 1 for count in self.seen.values() if count > 1) + len(self.again)

    def result(self, shown: Mapping[int, float], flakes: int) -> dict[str, Any]:
        """The numbers. `shown`: plant -> when a run showed it first; `flakes`: tests that failed by chance."""
        missed = [one for one in self.year.plants if one.number not in self.reported]
        threads = [
            max((len(roots) for (n, _), roots in self.roots.items() if n == plant), default=0)
            for plant in sorted(self.reported)
        ]
        delays = [self.reported[one] - at for one, at in shown.items() if one in self.reported]
        per_thousand = 1000 * len(self.flaky) / max(1, flakes)
        found = {
            "mails": self.mails,
            "letters": dict(sorted(self.letters.items())),
            "caused_by": dict(sorted(self.kinds.items())),
            "plants": len(self.year.plants),
            "reported": len(self.reported),
            "missed": [_name(one, one.number in shown) for one in missed],
            "hours_to_mail": {
                "median": round(median(delays) / HOUR, 2) if delays else None,
                "longest": round(max(delays) / HOUR, 2) if delays else None,
            },
            "threads_per_plant": {
                "most": max(threads, default=0), "mean": round(mean(threads), 2) if threads else 0,
                "over": [
                    _name(self.year.plants[plant], True)
                    for plant, count in zip(sorted(self.reported), threads, strict=True)
                    if count > MAX_THREADS
                ],
            },
            "flaky_failures": flakes,
            "mails_by_flakiness": len(self.flaky),
            "per_1000_flaky_failures": round(per_thousand, 3),
            "mails_to_projects_by_faults": len(self.faulty),
            "mails_by_nothing": len(self.unexplained),
            "duplicates": self.duplicates,
        }  # fmt: skip
        found["ok"] = (
            not missed
            and max(threads, default=0) <= MAX_THREADS
            and per_thousand <= MAX_FLAKY
            and not self.faulty
            and not self.duplicates
        )
        return found


def _name(plant: Any, shown: bool) -> str:
    return f"{plant.number}: {plant.story}{'' if shown else ' (no run ever showed it)'}"


def lines_of(rows: Sequence[Any]) -> tuple[Line, ...]:
    """The lines of a letter, from the rows its text was made of."""
    return tuple(
        Line(
            breakage=row.breakage, project=row.project, change=row.change, run=row.run,
            ids=tuple(row.failing),
        )
        for row in rows
    )  # fmt: skip

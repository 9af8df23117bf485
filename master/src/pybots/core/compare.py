"""Two states of the same lanes side by side: what passed then and fails now, what is not known. Pure.

A lane is told by its project, source, flavour and platform; the branch (or tag, or commit) is what is compared. What has no
conclusive verdict is unknown and counted, never taken for green.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from pybots.core.model import RED

Known = Literal["passes", "fails", "unknown"]
PASSING: Final = frozenset({"passed", "fixed", "flaky"})


class Name(NamedTuple):
    """What a lane is called whatever the branch."""

    project: str
    source: str
    flavour: str
    platform: str


def known(verdict: str | None) -> Known:
    """What a verdict says to somebody who weighs a release."""
    if verdict in PASSING:
        return "passes"
    return "fails" if verdict in RED else "unknown"


@dataclass(frozen=True, kw_only=True)
class Compared:
    """The lanes by what became of them, each tuple sorted by name.

    `worse`: passed then, fails now. `new`: fails now, and nothing is known of then. `lost`: passed then, unknown now.
    `same`: fails in both. `fixed`: failed then, passes now. `well`: passes in both. `dark`: unknown now, and did not pass
    then. `fresh`: passes now, and nothing is known of then.
    """

    worse: tuple[Name, ...] = field(default=())
    new: tuple[Name, ...] = field(default=())
    lost: tuple[Name, ...] = field(default=())
    same: tuple[Name, ...] = field(default=())
    fixed: tuple[Name, ...] = field(default=())
    well: tuple[Name, ...] = field(default=())
    dark: tuple[Name, ...] = field(default=())
    fresh: tuple[Name, ...] = field(default=())

    @property
    def unknown(self) -> int:
        """Lanes of which nobody can say how they are now."""
        return len(self.lost) + len(self.dark)

    @property
    def total(self) -> int:
        return sum(len(names) for names in vars(self).values())


_BECAME: Final[Mapping[tuple[Known, Known], str]] = {
    ("passes", "passes"): "well",
    ("passes", "fails"): "worse",
    ("passes", "unknown"): "lost",
    ("fails", "passes"): "fixed",
    ("fails", "fails"): "same",
    ("fails", "unknown"): "dark",
    ("unknown", "passes"): "fresh",
    ("unknown", "fails"): "new",
    ("unknown", "unknown"): "dark",
}


def compare(then: Mapping[Name, str | None], now: Mapping[Name, str | None]) -> Compared:
    """Both sides' lanes with their verdicts (None: none). A lane that one side lacks is unknown there."""
    found: dict[str, list[Name]] = {}
    for name in sorted({*then, *now}):
        became = _BECAME[known(then.get(name)), known(now.get(name))]
        found.setdefault(became, []).append(name)
    return Compared(**{became: tuple(names) for became, names in found.items()})

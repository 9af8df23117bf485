"""Every state a box can show: one closed set, one table. Cells, legend, tests and style sheet all read it here.

A box never speaks by colour alone: each state has a glyph to see, words to hear and a class that gives it a shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

State = Literal[
    "passed",
    "fixed",
    "new_failure",
    "still_failing",
    "flaky",
    "blocked",
    "infra",
    "unknown",
    "queued",
    "running",
    "running_failing",
    "offline",
    "no_worker",
    "refused",
    "none",
]
"""The eight verdicts, and how a box looks that has no verdict yet."""

ALL_STATES: Final[tuple[State, ...]] = get_args(State)


@dataclass(frozen=True, kw_only=True)
class StateInfo:
    """How one state looks and sounds. `css` is its class, `words` are read aloud, `meaning` stands in the legend."""

    glyph: str
    words: str
    css: str
    meaning: str
    quiet: bool = False
    """Quiet boxes are skipped by the tab key: a page of them would be hundreds of stops that say nothing."""


def _info(glyph: str, words: str, css: str, meaning: str, *, quiet: bool = False) -> StateInfo:
    return StateInfo(glyph=glyph, words=words, css=css, meaning=meaning, quiet=quiet)


STATES: Final[dict[State, StateInfo]] = {
    "passed": _info("✓", "passed", "s-ok", "Everything that should pass passed.", quiet=True),
    "fixed": _info("✔", "fixed", "s-fix", "Passes again; the commit before it did not."),
    "new_failure": _info(
        "F",
        "new failure",
        "s-new",
        "Something failed here that passed before. The number counts projects.",
    ),
    "still_failing": _info(
        "f", "still failing", "s-old", "Failed before, and still does. No news."
    ),
    "flaky": _info(
        "✓~",
        "passed, flaky",
        "s-flaky",
        "Failed at first and passed when repeated, in the same build or once more: chance.",
    ),
    "blocked": _info(
        "B",
        "blocked: broken before Python changed",
        "s-blocked",
        "The control on a good Python is red too, or a dependency is: not this commit's doing.",
    ),
    "infra": _info(
        "!",
        "infrastructure error",
        "s-infra",
        "Worker, network, disk or master: says nothing about the code.",
    ),
    "unknown": _info("?", "unknown", "s-unknown", "No verdict. Counted, never taken for green."),
    "queued": _info("…", "queued", "s-queued", "Waiting for a free slot.", quiet=True),
    "running": _info("▸", "running", "s-run", "Running now."),
    "running_failing": _info(
        "▸F", "running, failing already", "s-runbad", "Running, and something has failed."
    ),
    "offline": _info("–", "offline", "s-off", "Its workers are away."),
    "no_worker": _info(
        "ø", "no worker", "s-none", "No worker has what this lane needs.", quiet=True
    ),
    "refused": _info(
        "×",
        "refused",
        "s-none",
        "This branch, compiler or worker can't do it; the lane's page says why.",
        quiet=True,
    ),
    "none": _info("", "no data", "s-empty", "Not run: nothing to show.", quiet=True),
}

_WORST_FIRST: Final[tuple[State, ...]] = (
    "new_failure",
    "running_failing",
    "still_failing",
    "blocked",
    "infra",
    "running",
    "fixed",
    "flaky",
    "unknown",
    "offline",
    "queued",
    "passed",
    "refused",
    "no_worker",
    "none",
)
_RANK: Final = {state: rank for rank, state in enumerate(_WORST_FIRST)}


def worst(states: tuple[State, ...]) -> State:
    """The state that speaks for several boxes (a platform on a phone): the one a reader must not miss.

    Nothing at all is `none`. `passed` beats only what is no result, so one queued box among green ones shows as queued.
    """
    return min(states, key=_RANK.__getitem__, default="none")

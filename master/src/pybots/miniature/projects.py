"""The miniature projects, one per story, as data. Their files lie in `sources/`; `packaging` adds what all have.

Each says in `about` which kind of commit (a key of `history.CHANGES`) changes its fate, and how.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

DISCOVER: Final = ("discover", "-s", "tests", "-t", ".")


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A project: how its tests run, and files (path: text) that don't lie in `sources/`.

    `backend` is added to the end of its build backend; `truncated` breaks its release's archive.
    """

    name: str
    about: str
    files: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    runner: str = "unittest"
    args: tuple[str, ...] = DISCOVER
    dependencies: tuple[str, ...] = ()
    extension: str = ""
    optional: bool = False
    backend: str = ""
    truncated: bool = False

    @property
    def package(self) -> str:
        """Its import name."""
        return self.name.replace("-", "_")


PROJECTS: Final = (
    Definition(
        name="sprout",
        about="Plain Python; every commit leaves it green",
    ),
    Definition(
        name="anchor",
        about="break-anchor: two of its tests fail; remove-module: its tests cannot be collected; crash, hang: one does",
    ),
    Definition(
        name="fern",
        about="A C extension; remove-c-api: it cannot be compiled any more",
        extension="src/fern/_fern.c",
    ),
    Definition(
        name="frond",
        about="An optional C extension; remove-c-api: it is silently lost, and everything stays green",
        extension="src/frond/_fern.c",
        optional=True,
    ),
    Definition(
        name="moss",
        about="new-keyword: one of its modules is a syntax error; refuse-literal: another one is",
    ),
    Definition(
        name="bracken",
        about="Depends on fern; remove-c-api: fern cannot be compiled, so bracken cannot be installed",
        dependencies=("fern",),
    ),
    Definition(
        name="sedge",
        about="Depends on fern as well; remove-c-api: it cannot be installed either",
        dependencies=("fern",),
    ),
    Definition(
        name="resin",
        about="A library; break-resin: it raises in its own frames, for those who use it; its own tests stay green",
    ),
    Definition(
        name="amber",
        about="Depends on resin; break-resin: one of its tests fails in resin's frames",
        dependencies=("resin",),
    ),
    Definition(
        name="copal",
        about="Depends on resin as well; break-resin: one of its tests fails in resin's frames, too",
        dependencies=("resin",),
    ),
    Definition(
        name="tally",
        about="break-tally (a change in C): its test of great numbers fails",
    ),
    Definition(
        name="thorn",
        about="One test is always red; break-anchor: a second one fails in the red lane",
    ),
    Definition(
        name="veil",
        about="break-anchor: its whole suite is skipped, and everything stays green",
    ),
    Definition(
        name="husk",
        about="break-anchor: it cannot be installed any more, though its tests would pass",
        backend="\nimport colorsys\n\nassert colorsys.rgb_to_yiq(1.0, 1.0, 0.0)\n",
    ),
    Definition(
        name="buoy",
        about="stall: one of its tests never ends",
    ),
    Definition(
        name="cistern",
        about="hoard: one of its tests eats two gigabytes of memory",
    ),
    Definition(
        name="magpie",
        about="chatter: one of its tests prints a gigabyte",
    ),
    Definition(
        name="keel",
        about="break-keel: one of its tests fails, on machines of one kind only",
    ),
    Definition(
        name="clover",
        about="A suite for pytest, with parameters; break-anchor: one of its tests fails",
        runner="pytest",
        args=("tests",),
    ),
)

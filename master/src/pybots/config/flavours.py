"""The flavours that come with Pybots, as data; and farm.toml's own ones composed with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Annotated, Final

from pydantic import AfterValidator

from pybots.config.checks import Fact, Line, Name, near, wrong
from pybots.config.closed import Closed, Several
from pybots.core.flavours import compose
from pybots.core.model import Flavour

# `release` has no options of its own: --enable-optimizations makes a build ten times longer and finds no other
# breakages of projects. What users configure that way is built from the same sources.
BUILT_IN: Final[Mapping[str, Flavour]] = MappingProxyType(
    {
        flavour.name: flavour
        for flavour in (
            Flavour(name="release", why="the default build"),
            Flavour(
                name="debug",
                configure=("--with-pydebug",),
                why="assertions and reference counts are checked",
            ),
            Flavour(
                name="freethreaded",
                configure=("--disable-gil",),
                since=(3, 13),
                why="no global interpreter lock (PEP 703)",
            ),
            Flavour(
                name="jit",
                configure=("--enable-experimental-jit",),
                since=(3, 13),
                needs=("clang",),
                why="the experimental just-in-time compiler (PEP 744)",
            ),
        )
    }
)


def option(value: str) -> str:
    """One argument of configure. The farm itself says where things go and how ccache is used."""
    if not value.startswith("-") and "=" not in value:
        raise wrong("is not an argument of configure", "write it as --with-x or NAME=value")
    if value.split("=")[0] in ("--prefix", "--exec-prefix", "CC", "CFLAGS", "DESTDIR"):
        raise wrong("is set by the farm itself", "use `cflags` for compiler flags")
    return value


def _since(value: str) -> str:
    if not re.fullmatch(r"|\d{1,2}\.\d{1,3}", value):
        raise wrong("is not a version of CPython", 'write it as "3.13"')
    return value


Option = Annotated[Line, AfterValidator(option)]
Since = Annotated[str, AfterValidator(_since)]


class FlavourTable(Closed):
    """`[flavour.<name>]`: a flavour of this farm, or another meaning for a built-in one."""

    of: Several[Name] = ()
    configure: Several[Option] = ()
    cflags: Line = ""
    since: Since = ""
    needs: Several[Fact] = ()
    why: Line = ""


def known(tables: Mapping[str, FlavourTable]) -> dict[str, Flavour]:
    """Every flavour by name: the built-in ones, then the farm's. Parts that are unknown or go in a circle are left
    out: `mistakes` names them."""
    flavours: dict[str, Flavour] = dict(BUILT_IN)
    for name in tables:
        flavours[name] = _resolve(name, tables, ())
    return flavours


def _resolve(name: str, tables: Mapping[str, FlavourTable], above: tuple[str, ...]) -> Flavour:
    table = tables.get(name)
    if table is None or name in above:
        return BUILT_IN.get(name, Flavour(name=name))
    above = (*above, name)
    parts = [_resolve(part, tables, above) for part in table.of]
    own = Flavour(
        name=name,
        configure=table.configure,
        cflags=table.cflags,
        since=since(table.since),
        needs=table.needs,
        why=table.why,
    )
    return compose(name, parts, own)


def since(text: str) -> tuple[int, int] | None:
    """`"3.13"` as (3, 13); None for the empty text. Raises ValueError."""
    if not text:
        return None
    major, minor = text.split(".")
    return int(major), int(minor)


def mistakes(
    tables: Mapping[str, FlavourTable],
) -> Iterable[tuple[tuple[str | int, ...], str, str]]:
    """(place under `flavour`, message, mend) of every part that is unknown or leads in a circle."""
    names = {*BUILT_IN, *tables}
    for name, table in tables.items():
        for index, part in enumerate(table.of):
            if part not in names:
                yield (name, "of", index), f'unknown flavour "{part}"', near(part, names)
        if _circle(name, name, tables, set()):
            yield (name, "of"), "leads back to itself", "name the parts, not the whole"


def _circle(start: str, at: str, tables: Mapping[str, FlavourTable], seen: set[str]) -> bool:
    for part in tables[at].of if at in tables else ():
        # `[flavour.debug] of = ["debug"]` means the built-in one.
        if part == start and not (at == start and part in BUILT_IN):
            return True
        if part not in seen:
            seen.add(part)
            if _circle(start, part, tables, seen):
                return True
    return False

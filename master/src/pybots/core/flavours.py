"""Composing flavours, and whether one can be built from a branch on a worker, and if not, why. Pure.

The rules come from CPython itself: configure.ac and Tools/jit/README.md of the branches named.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from pybots.core.model import Flavour
from pybots_worker import contract

JIT: Final = "--enable-experimental-jit"
FREE_THREADED: Final = "--disable-gil"

# Tools/jit/README.md: the LLVM a branch's JIT is generated with; other versions are refused by its build script.
JIT_LLVM: Final = {(3, 13): 18, (3, 14): 19, (3, 15): 21}


def compose(name: str, parts: Sequence[Flavour], own: Flavour) -> Flavour:
    """One flavour out of several: all their options in order, without repetition, then its own.

    It can what all of its parts can: the newest `since` counts, and every need."""
    everything = (*parts, own)
    sinces = [part.since for part in everything if part.since]
    return Flavour(
        name=name,
        configure=_once(option for part in everything for option in part.configure),
        cflags=" ".join(part.cflags for part in everything if part.cflags),
        since=max(sinces, default=None),
        needs=_once(need for part in everything for need in part.needs),
        why=own.why or "; ".join(part.why for part in parts if part.why),
    )


def probe_recipe(flavour: Flavour) -> contract.Recipe:
    """The quick way to build a flavour."""
    return quick(flavour.recipe())


def quick(recipe: contract.Recipe) -> contract.Recipe:
    """The recipe without optimisation, debugging symbols, pip and byte-code: for probes only."""
    return contract.Recipe(
        configure=recipe.configure,
        cflags=f"{recipe.cflags} -O0 -g0".strip(),
        ensurepip=False,
        bytecode=False,
    )


def _once(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def refusal(
    flavour: Flavour, version: tuple[int, int] | None, facts: AbstractSet[str]
) -> str | None:
    """Why this flavour cannot be built from a branch of this version on a worker with these facts.

    None when it can. `version` is CPython's (major, minor); None, where it is unknown, refuses nothing."""
    if flavour.since and version and version < flavour.since:
        return f"{flavour.name} exists since CPython {_dotted(flavour.since)}, this is {_dotted(version)}"
    if _has(flavour, JIT) and _has(flavour, FREE_THREADED):
        # GH-133171: such a build carries a JIT that is never used; configure refuses it since 3.14.
        return f"{flavour.name}: CPython's JIT cannot be used with {FREE_THREADED}"
    missing = [need for need in needs(flavour, version) if need not in facts]
    if missing:
        return f"{flavour.name} needs {', '.join(missing)}, which the worker does not have"
    return None


def needs(flavour: Flavour, version: tuple[int, int] | None) -> tuple[str, ...]:
    """The facts a worker must have; the JIT's clang is the one of the branch (`clang-19`)."""
    if not _has(flavour, JIT) or version is None:
        return flavour.needs
    newest = max(JIT_LLVM)
    wanted = f"clang-{JIT_LLVM.get(min(version, newest), JIT_LLVM[newest])}"
    return _once(wanted if need == "clang" else need for need in flavour.needs)


def _has(flavour: Flavour, option: str) -> bool:
    return any(given.split("=")[0] == option for given in flavour.configure)


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"

"""Answers of CPython's configure that hold for another configure script too.

One commit in a hundred changes the script; what it asks of the machine stays nearly the same. A question is the piece of the
script that asks it, with the functions it calls. Where that and all that sets compiler and flags read the same, so does the
answer. Only plain answers are carried over, and none that two scripts answered differently.

    <day>.<setting>.<script>.answers   JSON: name -> [question, answer]
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

Answers = Mapping[str, tuple[str, str]]
"""Of one script: the name of each answer (`ac_cv_func_fork`) -> its question's digest, the answer as the cache has it."""

MAX_SCRIPT: Final = 2 << 20
"""Bytes; CPython's has 0.6 MB. Of a longer one nothing is carried over."""
MAX_STORES: Final = 8

_ASKS: Final = re.compile(r'as_lineno-\$LINENO\}: checking |\bac_fn_\w+ "\$LINENO"|^for ac_\w+ in')
_FUNCTION: Final = re.compile(r"(ac_fn_\w+) \(\)")
_CALLED: Final = re.compile(r"\bac_fn_\w+")
_NAME: Final = re.compile(r"\bac_cv_\w+")
_OF_A_LIST: Final = re.compile(r'"\$as_ac_\w+"')
_SETS: Final = re.compile(r"\b(?:CC|CPP|CFLAGS|CPPFLAGS|LDFLAGS|LIBS)=|#define _\w+_SOURCE\b")
_KEPT: Final = re.compile(r"(ac_cv_\w{1,200})=\$\{\1=(yes|no|\d{1,9}|'none required')\}")
"""A line of configure's cache. What else it says (paths, programs, the machine's name) costs little to ask again."""


@dataclass(frozen=True, kw_only=True)
class Questions:
    """What a configure script asks. `setting` is the digest of all that sets compiler, flags and feature macros."""

    setting: str
    named: Mapping[str, str]
    listed: str
    """For names that the script puts together while it goes through a list."""

    def digest(self, name: str) -> str:
        return self.named.get(name, self.listed)


def questions(script: str) -> Questions:
    """Read what autoconf wrote, in one pass. A script that is none asks nothing; a hostile one takes no longer."""
    functions, pieces = _parted(script)
    named: dict[str, list[str]] = {}
    listed: set[str] = set()
    for piece in pieces:
        called = [functions.get(name, name) for name in dict.fromkeys(_CALLED.findall(piece))]
        question = _digest([piece, *called])
        for name in dict.fromkeys(_NAME.findall(piece)):
            named.setdefault(name, []).append(question)
        if _OF_A_LIST.search(piece):
            # The call with its own headers; what comes behind it is the next list.
            listed.add(_digest([piece.partition("\nif ")[0], *called]))
    return Questions(
        setting=_digest(
            sorted({line.strip() for line in script.splitlines() if _SETS.search(line)})
        ),
        named={name: _digest(found) for name, found in named.items()},
        listed=_digest(sorted(listed)),
    )


def _parted(script: str) -> tuple[dict[str, str], list[str]]:
    """Its functions (name -> digest), and from its first question on a piece for each."""
    functions: dict[str, list[str]] = {}
    pieces: list[list[str]] = []
    inside: list[str] | None = None
    for line in script.split("\n"):
        if found := _FUNCTION.fullmatch(line):
            inside = functions.setdefault(found[1], [])
        elif inside is not None:
            inside.append(line)
            inside = None if line == "}" else inside
        else:
            if _ASKS.search(line):
                pieces.append([])
            if pieces:
                pieces[-1].append(line)
    own = {name: _digest(lines) for name, lines in functions.items()}
    whole = {  # autoconf's functions call others, and those none
        name: _digest(
            [own[name], *(own.get(one, one) for line in lines for one in _CALLED.findall(line))]
        )
        for name, lines in functions.items()
    }
    return whole, ["\n".join(lines) for lines in pieces]


def given(cache: str, asked: Questions) -> Answers:
    """The plain answers of a run's cache file, each with its question."""
    found = (_KEPT.fullmatch(line) for line in cache.split("\n"))
    return {one[1]: (asked.digest(one[1]), one[2]) for one in found if one}


def agreed(stores: Iterable[Answers], asked: Questions) -> str:
    """A cache file for a script that asks `asked`, of what others answered to the same questions, all alike."""
    found: dict[str, set[str]] = {}
    for store in stores:
        for name, (question, answer) in store.items():
            if question == asked.digest(name):
                found.setdefault(name, set()).add(answer)
    return "".join(
        f"{name}=${{{name}={answer}}}\n"
        for name, (answer, *others) in sorted(found.items())
        if not others
    )


def _digest(parts: Iterable[str]) -> str:
    text = "\0".join(parts)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]

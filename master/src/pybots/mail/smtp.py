"""What SMTP says, and what follows: which recipients got a letter, which may be tried again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

MAX_WORDS: Final = 500


@dataclass(frozen=True, kw_only=True)
class Route:
    """The server that takes the farm's mail. `name` is how we introduce ourselves."""

    host: str
    port: int
    security: Literal["none", "starttls", "tls"]
    username: str = ""
    password: str = field(default="", repr=False)
    name: str = "localhost"


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of one letter. `taken`: the server has it, for all but `refused` (recipient -> its words).

    Not `taken`: `error` says why, `permanent` that it never will be, `unreachable` that no letter would be taken now."""

    taken: bool
    refused: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    permanent: bool = False
    unreachable: bool = False


def accepted(refused: Mapping[str, tuple[int, str]]) -> Result:
    """The server took the letter; these recipients it did not want."""
    return Result(taken=True, refused={who: answer(*why) for who, why in refused.items()})


def nobody(refused: Mapping[str, tuple[int, str]]) -> Result:
    """No recipient was wanted. Permanent only when that is so for each of them."""
    said = "; ".join(f"{who}: {answer(*why)}" for who, why in refused.items())
    return Result(
        taken=False, error=said, permanent=all(500 <= code < 600 for code, _ in refused.values())
    )


def declined(code: int, words: str) -> Result:
    """The sender or the letter itself was not wanted."""
    return Result(taken=False, error=answer(code, words), permanent=500 <= code < 600)


def trouble(words: str) -> Result:
    """The server, or the way to it, is in trouble: what is wrong there can be mended."""
    return Result(taken=False, error=words[:MAX_WORDS], unreachable=True)


def answer(code: int, words: str) -> str:
    return f"{code} {words}"[:MAX_WORDS] if code > 0 else words[:MAX_WORDS]

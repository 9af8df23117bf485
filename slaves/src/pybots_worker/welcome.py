"""What crosses the wire besides Jobs and Reports: a worker joins, and from time to time says how it is.

JSON over HTTP, versioned and closed like `contract`. What a worker says is hostile data, what a farm says is not
believed beyond these shapes. Times are epoch seconds in UTC, sizes bytes.

An invitation's code is `pybots1-<secret>-<pin>`: the secret is worth one worker, once, for a while; the pin is the
beginning of the sha256 of the farm's own certificate authority, or `0` where the farm has none.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b32encode
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from pybots_worker.contract import ContractError, Count, Epoch, Line, Network, Positive, Slug, _Wire

VERSION: Final = 1
JOIN: Final = "/api/v1/join"
HELLO: Final = "/api/v1/worker/hello"
AUTHORITY: Final = "/kit/ca.pem"
MAX_BYTES: Final = 64 << 10
SECRET_BYTES: Final = 16
PIN_CHARS: Final = 26
"""Base32 characters: 130 bits of the digest."""

Kind = Literal["interpreter", "project"]
KINDS: Final[tuple[Kind, ...]] = ("interpreter", "project")
Credential = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}(?!\n)$")]
State = Literal["approved", "waiting", "paused", "quarantined", "revoked", "retired"]
Names = Annotated[tuple[Slug, ...], Meta(max_length=1000)]
Platform = Annotated[str, Meta(pattern=r"^[a-z0-9]{1,20}-[a-z0-9_]{1,20}(?!\n)$")]
"""As in `linux-x86_64`; the farm's slots are called after it, see orders."""
SEEN: Final = r"^[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]*(?!\n)$"
"""What can be shown on a terminal too: nothing that moves a cursor or turns the reading direction."""
Said = Annotated[str, Meta(max_length=200, pattern=SEEN)]


class Machine(_Wire, frozen=True):
    """What the worker measured of itself."""

    platform: Platform
    abi: Slug
    slots: Annotated[int, Meta(ge=1, le=64)] = 1
    cores: Positive = 1
    memory_bytes: Count = 0
    system: Said = ""
    kit: Said = ""
    facts: Annotated[
        tuple[Annotated[str, Meta(max_length=80, pattern=SEEN)], ...], Meta(max_length=200)
    ] = ()


class Decisions(_Wire, frozen=True):
    """What its owner lets it do, so that the farm needn't ask in vain; the worker refuses anything else itself.

    Empty lists: everything. `network`: the most that a job may have."""

    projects: Names = ()
    kinds: Annotated[tuple[Kind, ...], Meta(max_length=2)] = ()
    network: Network = "always"
    receipt: bool = False


class Signs(_Wire, frozen=True):
    """How it is: its clock, free room for jobs, load per processor over the last minutes."""

    clock: Epoch
    disk_free_bytes: Count
    memory_free_bytes: Count = 0
    load: Annotated[float, Meta(ge=0, le=1_000_000)] = 0.0


class Rest(_Wire, frozen=True):
    """It takes no jobs for now, by its owner's will. `until` None: nobody knows."""

    why: Said
    until: Epoch | None = None


class Join(_Wire, frozen=True):
    """An invitation exchanged for a credential, which the worker makes itself: asking again gets the same answer."""

    version: Annotated[int, Meta(ge=1, le=VERSION)]
    code: Annotated[str, Meta(max_length=200)]
    credential: Credential
    machine: Machine
    name: Slug | Literal[""] = ""
    decisions: Decisions = Decisions()


class Joined(_Wire, frozen=True):
    """The farm's answer. `master`: where its Buildbot master listens, host empty: the one that was asked."""

    name: Slug
    state: State
    farm: Line
    master: Line
    tls: bool
    words: Line = ""


class Hello(_Wire, frozen=True):
    """A sign of life, with the credential. `leaving`: the owner takes the machine back."""

    version: Annotated[int, Meta(ge=1, le=VERSION)]
    machine: Machine
    signs: Signs
    decisions: Decisions = Decisions()
    rest: Rest | None = None
    leaving: bool = False


class Known(_Wire, frozen=True):
    """What the farm knows of the worker. A `name` that is not its own: it was renamed. `clock`: the farm's."""

    name: Slug
    state: State
    clock: Epoch
    reason: Line = ""


Message = TypeVar("Message", Join, Joined, Hello, Known)


def decode(data: bytes, kind: type[Message]) -> Message:
    """A message from JSON. Raises ContractError, naming the place."""
    if len(data) > MAX_BYTES:
        raise ContractError(f"{len(data)} bytes, at most {MAX_BYTES} are read")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ContractError(f"not a {kind.__name__}: {error}") from error


def encode(message: Join | Joined | Hello | Known) -> bytes:
    """The message as JSON."""
    return msgspec.json.encode(message)


_CODE: Final = re.compile(rf"pybots1-([a-z2-7]{{26}})-(0|[a-z2-7]{{{PIN_CHARS}}})")


class CodeError(ValueError):
    """This is no invitation's code; the text says what is wrong with it, never the code."""


@dataclass(frozen=True)
class Code:
    """An invitation's code, taken apart. `pin` is empty where the farm has no certificate authority of its own."""

    secret: str
    pin: str

    def __str__(self) -> str:
        return f"pybots1-{self.secret}-{self.pin or '0'}"

    def __repr__(self) -> str:
        return "Code(…)"


def code_of(secret: bytes, authority: bytes | None) -> Code:
    """The code for SECRET_BYTES random bytes and the farm's authority certificate (DER)."""
    return Code(_base32(secret), pin_of(authority) if authority is not None else "")


def pin_of(authority: bytes) -> str:
    """What a code says of an authority's certificate (DER)."""
    return _base32(hashlib.sha256(authority).digest())[:PIN_CHARS]


def read_code(text: str) -> Code:
    """The code in what a person typed or pasted. Raises CodeError."""
    found = _CODE.fullmatch(text.strip().lower())
    if not found:
        raise CodeError(
            "this is not an invitation's code: it begins with pybots1- and has three parts"
        )
    return Code(found[1], "" if found[2] == "0" else found[2])


def fingerprint(code: Code) -> str:
    """What the ledger keeps of a code instead of it."""
    return hashlib.sha256(code.secret.encode()).hexdigest()


def _base32(data: bytes) -> str:
    return b32encode(data).decode().rstrip("=").lower()

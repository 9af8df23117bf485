"""Stateless tokens: what one attempt may upload or read, until when. An HMAC over the grant; nothing is stored.

The master mints them when an attempt starts, the web process verifies them with the same key file, made by `init`.
A token dies by its expiry, and with its attempt: the receiver also checks that the attempt is still running.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

Kind = Literal["report", "artifact", "read"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
KEY_FILE: Final = "token-key"
MIN_KEY_BYTES: Final = 32


class TokenError(ValueError):
    """The token is malformed, forged or expired; the text says which, and nothing about the key."""


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a token allows. `attempt` is the attempt's id in the ledger; sizes are bytes, times epoch seconds."""

    run: int
    attempt: int
    kind: Kind
    max_bytes: int
    expires: int


def mint(
    secret: bytes, *, run: int, attempt: int, kind: Kind, max_bytes: int, expires: float
) -> str:
    """A token for one attempt and kind, URL-safe."""
    payload = f"1.{run}.{attempt}.{kind}.{max_bytes}.{int(expires)}"
    return f"{payload}.{_signature(secret, payload)}"


def verify(secret: bytes, token: str, *, now: float) -> Grant:
    """The grant a token stands for. Raises TokenError."""
    payload, _, signature = token.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _signature(secret, payload).encode()):
        raise TokenError("the token was not made by this farm")
    version, run, attempt, name, max_bytes, expires = payload.split(".")
    kind = next((known for known in KINDS if known == name), None)
    if version != "1" or kind is None:
        raise TokenError("the token is of a kind this farm does not know")
    if now > int(expires):
        raise TokenError("the token has expired")
    return Grant(
        run=int(run),
        attempt=int(attempt),
        kind=kind,
        max_bytes=int(max_bytes),
        expires=int(expires),
    )


def _signature(secret: bytes, payload: str) -> str:
    digest = hmac.new(secret, payload.encode("utf-8", "replace"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def make_key(folder: Path) -> None:
    """Write the key file into the farm's secrets folder, once."""
    write_secret(folder / KEY_FILE, secrets.token_hex(MIN_KEY_BYTES))


def load_key(folder: Path) -> bytes:
    """The farm's token key. Raises TokenError when it is missing or too short: fail closed."""
    try:
        key = (folder / KEY_FILE).read_bytes().strip()
    except FileNotFoundError:
        raise TokenError(f"no {KEY_FILE} in {folder}; `pybots init` makes it") from None
    if len(key) < MIN_KEY_BYTES:
        raise TokenError(f"{folder / KEY_FILE} is too short; delete it and run `pybots init`")
    return key


def write_secret(path: Path, value: str) -> None:
    """Create a secret's file, readable by the farm only; one that is there is left alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Linked into its place when it is whole: an empty secret would be refused for ever.
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".new-") as file:  # mode 0600
        file.write(value + "\n")
        file.flush()
        os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(file.name, path)

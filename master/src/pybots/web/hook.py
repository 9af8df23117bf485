"""`POST /hook/github`: a signed delivery only wakes the comparison of heads; what it says is not believed."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

from pybots.farm.home import Farm
from pybots.ledger.engine import announce

_SIGNATURE: Final = re.compile(r"sha256=([0-9a-f]{64})")
_WORD: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")


def verify(secret: str, body: bytes, signature: str) -> bool:
    """Whether `X-Hub-Signature-256` is the body's HMAC; compared in constant time."""
    match = _SIGNATURE.fullmatch(signature)
    made = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return match is not None and hmac.compare_digest(made, match[1])


def wake(farm: Farm, event: str, delivery: str) -> None:
    """Leave a `wake` in the events, for the master to find."""
    with farm.ledger.write() as connection:
        announce(
            connection, farm.clock(), "wake",
            source="github", event=_word(event), delivery=_word(delivery),
        )  # fmt: skip


def _word(text: str) -> str:
    return text if _WORD.fullmatch(text) else ""

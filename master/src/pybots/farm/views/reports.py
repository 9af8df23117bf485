"""What pages show of a report: bounded, read once per blob and kept. A report never changes; its blob is its name."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Final

from pybots.store import Store, StoreError
from pybots_worker import contract

MAX_FAILURES: Final = 100
MAX_LOCK: Final = 1000
MAX_MODULES: Final = 1000
MAX_DETAIL: Final = 20_000
KEPT: Final = 200


@dataclass(frozen=True, kw_only=True)
class Digest:
    """The part of a report that is shown. `failures` are bounded, `failed` counts all of them."""

    failures: tuple[contract.TestOutcome, ...]
    failed: int
    environment: contract.Environment
    lock: tuple[contract.Locked, ...]
    modules: tuple[str, ...]
    artifact: contract.Artifact | None
    python: str


class Digests:
    """Digests of the newest reports asked for. Safe for threads."""

    def __init__(self, store: Store, *, kept: int = KEPT) -> None:
        self._store = store
        self._kept = kept
        self._known: OrderedDict[str, Digest | None] = OrderedDict()
        self._lock = Lock()

    def get(self, sha256: str | None) -> Digest | None:
        """The digest of a recorded report; None when the blob is gone or is not a report (any more)."""
        if not sha256:
            return None
        with self._lock:
            if sha256 in self._known:
                self._known.move_to_end(sha256)
                return self._known[sha256]
        made = _read(self._store, sha256)
        with self._lock:
            self._known[sha256] = made
            while len(self._known) > self._kept:
                self._known.popitem(last=False)
        return made


def _read(store: Store, sha256: str) -> Digest | None:
    try:
        report = contract.decode_report(store.read(sha256))
    except (StoreError, contract.ContractError):
        return None
    bad = [test for test in report.tests if test.outcome in contract.BAD_OUTCOMES]
    bad.sort(
        key=lambda test: test.outcome == "not_run"
    )  # what failed says more than what never ran
    return Digest(
        failures=tuple(bad[:MAX_FAILURES]),
        failed=len(bad),
        environment=report.environment,
        lock=report.lock[:MAX_LOCK],
        modules=report.modules[:MAX_MODULES],
        artifact=report.artifact,
        python=report.python,
    )

"""Whether the ledger can be read: it exists, and its schema is one that this program knows."""

from __future__ import annotations

import logging
import time
from threading import Lock
from typing import Final

from pybots.farm.home import Farm
from pybots.ledger import migrate

log = logging.getLogger(__name__)

RECHECK_SECONDS: Final = 5.0
"""An upgrade may happen under a running web process: the schema is looked at again this often."""


class Unready(Exception):
    """No page can be made of the ledger at the moment. `hint` says what mends it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Gate:
    """Remembers for a moment that the ledger was fine. Safe for threads."""

    def __init__(self, farm: Farm) -> None:
        self._path = farm.folder.ledger
        self._good_until = 0.0
        self._lock = Lock()

    def check(self) -> None:
        """Raises Unready."""
        with self._lock:
            if time.monotonic() < self._good_until:
                return
            if not self._path.is_file():
                raise Unready(
                    "This farm has no ledger yet",
                    "`pybots up` makes it; this page then comes by itself.",
                )
            try:
                migrate.check(self._path)
            except migrate.SchemaError as error:
                log.warning("%s", error)  # it names paths of this machine: not for the page
                raise Unready(
                    "The farm is being upgraded",
                    "Nothing is lost. Its admin finds the mend in the web process's log.",
                ) from error
            self._good_until = time.monotonic() + RECHECK_SECONDS

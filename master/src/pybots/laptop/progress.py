"""What a waiting person sees: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.status import Status


class Progress:
    """Say what is known, show what runs. `quiet` says nothing at all. Safe for several threads."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._lock = threading.Lock()
        self._running: dict[str, float] = {}
        self._where = ""
        live = console.is_terminal and not quiet
        self._status: Status | None = console.status("starting", spinner="dots") if live else None

    def __enter__(self) -> Self:
        if self._status:
            self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._status:
            self._status.stop()

    def say(self, text: str, style: str = "") -> None:
        """A line that stays."""
        if not self._quiet:
            self._console.print(escape(text), style=style or None, highlight=False)

    def where(self, *, left: int, done: int, expected: int) -> None:
        """How far the search is: changes left, probes done, and how many are expected in all."""
        self._where = f"{left} changes left, probe {done + 1} of about {max(expected, done + 1)}"
        self._show()

    def begin(self, what: str) -> None:
        """Something runs now."""
        with self._lock:
            self._running[what] = time.monotonic()
        if self._status is None:
            self.say(f"  … {self._where + ': ' if self._where else ''}{what}")
        self._show()

    def end(self, what: str) -> None:
        """It has ended."""
        with self._lock:
            self._running.pop(what, None)
        self._show()

    def _show(self) -> None:
        if self._status:
            now = ", ".join(self._running) or "thinking"
            self._status.update(escape(f"{self._where + ': ' if self._where else ''}{now}"))

"""A request's address read strictly: known parameters, bounded, made canonical. The rest is ignored."""

from __future__ import annotations

import math
from typing import Any, Final
from urllib.parse import urlencode

from pybots.farm.views.common import Visit
from pybots.farm.views.front import MAX_ROWS, Asked
from pybots.farm.views.runpage import AskedLog
from pybots_status.pages import Theme

MAX_TEXT: Final = 100
LONGER: Final = {"test": 1000}
"""Names of tests are long; everything else is short."""
_KNOWN: Final = (
    "branch", "who", "project", "platform", "flavour", "only", "detail", "rows", "at", "before",
    "after", "like", "phase", "from", "attempt", "days", "since", "test", "theme", "reload",
)  # fmt: skip
_THEMES: Final[dict[str, Theme]] = {"light": "light", "dark": "dark"}


class Query:
    """The known parameters of a request."""

    def __init__(self, request: Any) -> None:
        self.path: str = request.path.decode("ascii")
        arguments = request.args or {}
        self._values = {
            name: _text(arguments[name.encode()][0], LONGER.get(name, MAX_TEXT))
            for name in _KNOWN
            if arguments.get(name.encode())
        }

    def text(self, name: str) -> str:
        """A parameter's value; "" when it is not there."""
        return self._values.get(name, "")

    def number(self, name: str, usual: int, low: int, high: int) -> int:
        """A parameter as a whole number, forced between `low` and `high`; anything else is `usual`."""
        value = self.text(name)
        if not (value.isascii() and value.isdigit()) or len(value) > 15:
            return usual
        return min(max(int(value), low), high)

    @property
    def here(self) -> str:
        """The address with only what was understood, in a fixed order: also the cache's key."""
        pairs = [(name, self._values[name]) for name in _KNOWN if self._values.get(name)]
        return f"{self.path}?{urlencode(pairs)}" if pairs else self.path

    def visit(self) -> Visit:
        reload = self.text("reload")
        return Visit(
            here=self.here,
            branch=self.text("branch"),
            theme=_THEMES.get(self.text("theme"), ""),
            reload=self.number("reload", 60, 0, 86_400) if reload else None,
        )

    def console(self) -> Asked:
        """The console's parameters. An anchor is a sha; when several are given the first of at, before, after counts."""
        anchors = {name: self.text(name) for name in ("at", "before", "after")}
        first = next((name for name, value in anchors.items() if value), None)
        return Asked(
            who=self.text("who"),
            project=self.text("project"),
            flavour=self.text("flavour"),
            platform=self.text("platform"),
            only_bad=self.text("only") == "bad",
            expanded=self.text("detail") == "1",
            rows=self.number("rows", Asked.rows, 1, MAX_ROWS),
            **({first: anchors[first]} if first else {}),
        )

    def log(self) -> AskedLog:
        return AskedLog(
            phase=self.text("phase"),
            start=self.number("from", 0, 0, 1 << 40),
            attempt=self.number("attempt", 0, 0, 1 << 30),
        )

    def time(self, name: str) -> float | None:
        """A parameter as seconds since the epoch."""
        try:
            value = float(self.text(name))
        except ValueError:
            return None
        return value if math.isfinite(value) and 0 < value < 1e11 else None


def _text(raw: bytes, limit: int) -> str:
    return raw.decode("utf-8", "replace")[:limit].strip()

"""From a view to an answer: rendered in a thread, kept while nothing that it shows has changed."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from pybots.farm.home import Farm
from pybots.farm.views import words
from pybots.farm.views.common import Visit
from pybots.farm.views.frame import alive, master_seen
from pybots.web import answers
from pybots.web.answers import Answer, Cache
from pybots.web.gate import Gate
from pybots_status import render
from pybots_status.pages import Page, Run

log = logging.getLogger(__name__)

STALE_SECONDS: Final = 300
"""Counts over the last day and the like grow old without any event: nothing is kept longer than this."""


class Pages:
    """Makes answers. Everything here blocks; call it in threads."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        self.gate = Gate(farm)
        self._cache = Cache()

    def page(self, visit: Visit, view: Callable[[Visit], Page]) -> Answer:
        """A page. Raises what the view raises, and gate.Unready."""
        self.gate.check()
        state = self.state()
        known = self._cache.get(visit.here, state)
        if known is not None:
            return known
        made = view(visit)
        made = replace(made, frame=replace(made.frame, event=state[0]))
        body = render(made).encode()
        if _is_live(made):
            return answers.make(200, answers.HTML, body)
        answer = answers.make(200, answers.HTML, body, cache=answers.REVALIDATE, tagged=True)
        self._cache.put(visit.here, state, answer)
        return answer

    def data(self, key: str, view: Callable[[], dict[str, Any]]) -> Answer:
        """A JSON answer, kept in the same way."""
        return self.kept(key, answers.JSON, lambda: _json(view()))

    def kept(self, key: str, content_type: str, made: Callable[[], bytes]) -> Answer:
        """Any answer for programs, kept in the same way."""
        self.gate.check()
        state = self.state()
        known = self._cache.get(key, state)
        if known is not None:
            return known
        answer = answers.make(200, content_type, made(), cache=answers.REVALIDATE, tagged=True)
        self._cache.put(key, state, answer)
        return answer

    def state(self) -> tuple[int, bool, int]:
        """What every page depends on: the newest event, whether the master lives, and a slow clock."""
        now = self.farm.clock()
        with self.farm.ledger.read() as connection:
            living = alive(master_seen(connection), now)
        return (self.farm.ledger.data_version(), living, int(now // STALE_SECONDS))

    def error(self, visit: Visit, status: int, message: str, hint: str = "") -> Answer:
        """The theme's error page."""
        page = words.error(self.farm, visit, status, message, hint)
        return answers.make(status, answers.HTML, render(page).encode())

    def health(self) -> Answer:
        """Whether pages can be answered, and how the master does. Raises gate.Unready."""
        self.gate.check()
        now = self.farm.clock()
        with self.farm.ledger.read() as connection:
            seen = master_seen(connection)
        data = {
            "status": "ok",
            "master": "never" if seen is None else "alive" if alive(seen, now) else "down",
            "master_seen": seen,
            "data_version": self.farm.ledger.data_version(),
        }
        return answers.make(200, answers.JSON, _json(data))


def _is_live(page: Page) -> bool:
    """A running phase's log grows, and may even begin, without any event."""
    return isinstance(page, Run) and any(item.state == "running" for item in page.phases)


def _json(data: dict[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


def data_error(status: int, message: str) -> Answer:
    """An error for programs."""
    return answers.make(status, answers.JSON, _json({"error": message}))


def reference() -> str:
    """A short name for one failure, shown to the reader and written to the log."""
    return secrets.token_hex(4)

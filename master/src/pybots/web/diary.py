"""What readers of one view have missed: which piece changed at which event. Pure: no clock, no reactor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from pybots_status import live
from pybots_status.live import Picture

PER_READER_SECONDS: Final = 0.005
"""When all readers must fetch a page anew, they are spread over so much time each, at most MAX_SPREAD in all."""
MAX_SPREAD: Final = 5.0
SOON: Final = 0.3


@dataclass
class Diary:
    """A view's newest picture, and since when each part of it is as it is. `begun`: nothing is known of before that event.

    `unnumbered`: it changed without an event (a master fell silent), so ids can't tell who knows of it."""

    picture: Picture
    begun: int
    changed: dict[str, int] = field(default_factory=dict)
    rows_changed: int = 0
    rest_changed: int = 0
    unnumbered: bool = False

    def update(self, new: Picture, readers: int) -> str:
        """Take over a new rendering. Returns what the readers are told, "" when nothing that is shown changed."""
        old, event = self.picture, new.event
        put = {name: html for name, html in new.pieces.items() if old.pieces.get(name) != html}
        rows = new.rows != old.rows
        rest = new.rest != old.rest
        self.picture = new
        if event > old.event:
            self.unnumbered = False
        elif put or rows or rest:
            self.unnumbered = True
        self.changed = {name: at for name, at in self.changed.items() if name in new.pieces}
        self.changed |= dict.fromkeys(put, event)
        self.rows_changed = event if rows else self.rows_changed
        self.rest_changed = event if rest else self.rest_changed
        if rest:
            return live.reload(min(PER_READER_SECONDS * readers, MAX_SPREAD))
        return live.patch(put, new.rows if rows else None) if put or rows else ""

    def since(self, event: int) -> str:
        """What a reader whose page knows of `event` has missed; "" for nothing."""
        if event < self.begun or self.rest_changed > event:
            return live.reload(SOON)
        if event >= self.picture.event:
            late = self.unnumbered and event == self.picture.event
            return live.reload(SOON) if late else ""
        put = {
            name: self.picture.pieces[name]
            for name, at in self.changed.items()
            if at > event and name in self.picture.pieces
        }
        rows = self.picture.rows if self.rows_changed > event else None
        return live.patch(put, rows) if put or rows is not None else ""

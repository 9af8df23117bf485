"""The master's end of a running phase: text in batches, values at once, never too much unacknowledged.

Knows no Twisted: `reactor` needs callLater, `remote` needs callRemote, as Twisted's perspective broker has them.
"""

from __future__ import annotations

import codecs
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

UPDATE_CHARS: Final = 32 << 10
UPDATE_SECONDS: Final = 0.3
MAX_UNACKNOWLEDGED: Final = 32
"""Updates on their way; with more, the phase has to wait. Bounds what a slow master makes this machine keep."""

log = logging.getLogger(__name__)


class Line:
    """Updates about one phase. `pause(True)` asks for no more output, `pause(False)` for more."""

    def __init__(
        self, reactor: Any, remote: Any, limit: int, pause: Callable[[bool], None]
    ) -> None:
        self._reactor, self._remote, self._pause = reactor, remote, pause
        self._left = limit
        self._decoders = {
            name: codecs.getincrementaldecoder("utf-8")("replace") for name in ("stdout", "stderr")
        }
        self._batch: list[tuple[str, str]] = []
        self._size = 0
        self._timer: Any = None
        self._open = True
        self._unacknowledged = 0

    def text(self, stream: str, data: bytes) -> None:
        """Output of the phase; what is over the limit (bytes) is dropped."""
        data = data[: self._left]
        self._left -= len(data)
        self._add(stream, self._decoders[stream].decode(data))

    def _add(self, stream: str, text: str) -> None:
        if not text:
            return
        self._batch.append((stream, text))
        self._size += len(text)
        if self._size >= UPDATE_CHARS:
            self._flush()
        elif self._timer is None:
            self._timer = self._reactor.callLater(UPDATE_SECONDS, self._flush)

    def _flush(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        batch, self._batch, self._size, self._timer = self._batch, [], 0, None
        for stream, text in merged(batch):
            for start in range(0, len(text), UPDATE_CHARS):
                self._send(stream, text[start : start + UPDATE_CHARS])

    def _send(self, key: str, value: object) -> None:
        if not self._open:
            return
        self._count(+1)
        # The trailing 0 is a leftover that masters still expect of an update.
        sent = self._remote.callRemote("update", [[{key: value}, 0]])
        sent.addErrback(self._undelivered).addCallback(lambda _: self._count(-1))

    def _count(self, change: int) -> None:
        self._unacknowledged += change
        self._pause(self._unacknowledged >= MAX_UNACKNOWLEDGED)

    def _undelivered(self, reason: Any) -> None:
        self._open = False
        log.warning("the master did not take an update: %s", reason.getErrorMessage())

    def heartbeat(self) -> None:
        """Tell that the phase is alive, unless enough is on its way already."""
        if self._unacknowledged < MAX_UNACKNOWLEDGED:
            self._send("heartbeat", int(time.time()))

    def finish(self, values: Mapping[str, object]) -> None:
        """Send what is left, the values, and that it was all."""
        for stream, decoder in self._decoders.items():
            self._add(stream, decoder.decode(b"", True))
        self._flush()
        for key, value in values.items():
            self._send(key, value)
        if self._open:
            self._remote.callRemote("complete", None).addErrback(self._undelivered)
        self._open = False

    def hang_up(self) -> None:
        """Nobody listens any more."""
        self._open = False


def merged(batch: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Neighbouring texts of one stream made one."""
    result: list[tuple[str, list[str]]] = []
    for stream, text in batch:
        if result and result[-1][0] == stream:
            result[-1][1].append(text)
        else:
            result.append((stream, [text]))
    return [(stream, "".join(texts)) for stream, texts in result]

"""How often something may happen, by whom. Pure: the clock is passed in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable


class Limiter:
    """Counts events by key over a window of seconds; knows the newest `keep` keys only. `clock` as time.monotonic.

    >>> now = [0.0]
    >>> doors = Limiter(2, 60.0, clock=lambda: now[0])
    >>> doors.count("ada"); doors.count("ada"); doors.wait("ada"), doors.wait("bob")
    (60.0, 0)
    >>> now[0] = 61.0; doors.wait("ada")
    0
    """

    def __init__(
        self, most: int, window: float, *, clock: Callable[[], float], keep: int = 10_000
    ) -> None:
        self._most, self._window, self._keep, self._clock = most, window, keep, clock
        self._seen: OrderedDict[str, list[float]] = OrderedDict()

    def wait(self, key: str) -> float:
        """Seconds until another event of this key is welcome; 0: now."""
        times = self._recent(key)
        return times[-self._most] + self._window - self._clock() if len(times) >= self._most else 0

    def count(self, key: str) -> None:
        """It has happened."""
        self._seen[key] = [*self._recent(key), self._clock()][-self._most :]
        self._seen.move_to_end(key)
        while len(self._seen) > self._keep:
            self._seen.popitem(last=False)

    def _recent(self, key: str) -> list[float]:
        since = self._clock() - self._window
        return [at for at in self._seen.get(key, ()) if at > since]

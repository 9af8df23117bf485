"""The farm as the master's parts and steps reach it: its blocking functions called in threads, never on the reactor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar, cast

from twisted.internet import defer, threads
from twisted.python.threadpool import ThreadPool

from pybots.farm.home import Farm

THREADS: Final = 8
"""One each for mirror and postman, the rest for running builds; writing transactions wait for each other anyway."""

P = ParamSpec("P")
T = TypeVar("T")


class Desk:
    """An open farm and the threads that work on it. `farm` changes when the master is reconfigured."""

    def __init__(self, reactor: Any, farm: Farm) -> None:
        self.reactor = reactor
        self.farm = farm
        self._pool = ThreadPool(minthreads=1, maxthreads=THREADS, name="farm")
        self._under_way: set[Any] = set()

    def start(self) -> None:
        self._pool.start()

    def renew(self, farm: Farm) -> None:
        """Use the farm as it was opened anew: settings and projects may have changed."""
        if farm is not self.farm:
            self.farm.ledger.close()  # connections in use end with their transactions
            self.farm = farm

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function in a thread."""
        called = threads.deferToThreadPool(self.reactor, self._pool, function, *args, **kwargs)
        self._under_way.add(called)
        try:
            return cast(T, await called)
        finally:
            self._under_way.discard(called)

    async def stop(self) -> None:
        """Wait for what is under way, then end the threads. Nothing may be called afterwards."""
        await defer.DeferredList([_when(called) for called in self._under_way])
        self._pool.stop()
        self.farm.ledger.close()


def _when(called: Any) -> Any:
    """A Deferred for the end of another one, which keeps its result."""
    ended: Any = defer.Deferred()

    def tell(result: Any) -> Any:
        ended.callback(None)
        return result

    called.addBoth(tell)
    return ended

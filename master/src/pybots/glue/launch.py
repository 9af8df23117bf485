"""The master as a process: `python -m pybots.glue.launch <farm root>`, in the foreground, until SIGTERM."""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from buildbot.master import BuildMaster
from twisted.application.service import MultiService
from twisted.internet import defer, reactor
from twisted.python import log

from pybots.farm.home import Folder
from pybots.glue import basedir, gate


def main(arguments: Sequence[str]) -> int:
    """Run the master of a farm. Exit status 1 when it could not start, 2 for wrong usage."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        sys.stderr.write("usage: python -m pybots.glue.launch <farm root>\n")
        return 2
    folder = Folder(Path(arguments[0]).resolve()).master
    log.startLogging(sys.stdout, setStdout=False)
    basedir.prepare(folder)
    _many_connections()
    gate.install()
    master = BuildMaster(str(folder), basedir.CONFIG)
    started: Any = defer.Deferred()
    reactor.callWhenRunning(lambda: started.callback(None))
    started.addCallback(lambda _: defer.ensureDeferred(_start(master, folder)))
    started.addErrback(_broken)
    reactor.run()
    # It is told to stop by a signal; before the heartbeat has begun, it never ran.
    return 0 if master.masterHeartbeatService.parent is not None else 1


def _many_connections() -> None:
    """Every worker is an open file; the usual soft limit of 1,024 is none that anybody decided on for us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 1 << 16 if hard == resource.RLIM_INFINITY else min(hard, 1 << 16)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


async def _start(master: Any, folder: Path) -> None:
    await basedir.upgrade(folder)
    process = MultiService()
    await master.setServiceParent(process)
    reactor.addSystemEventTrigger("before", "shutdown", process.stopService)
    process.startService()


def _broken(failure: Any) -> None:
    log.err(failure, "the master could not start")
    reactor.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

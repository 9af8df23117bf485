"""Buildbot's base directory inside the farm's folder: its two small files and its database."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import buildbot
from buildbot.config.master import FileLoader

CONFIG: Final = "master.cfg"
UPGRADED: Final = "database-version"
"""The Buildbot that last upgraded the database; looking into the database itself takes longer."""

TAC: Final = """\
# Buildbot's own commands (`buildbot checkconfig`, `upgrade-master` …) find the master by this file.
# `pybots up`, or `python -m pybots.glue.launch <farm>`, runs it.
from pathlib import Path

from buildbot.master import BuildMaster
from twisted.application import service

basedir = str(Path(__file__).resolve().parent)
configfile = "master.cfg"
application = service.Application("buildmaster")
BuildMaster(basedir, configfile).setServiceParent(application)
"""


def prepare(folder: Path) -> None:
    """Write what is missing; files that are there may have been changed by the admin and are left alone."""
    folder.mkdir(mode=0o700, exist_ok=True)
    config = files("pybots.glue").joinpath(CONFIG).read_text()
    for name, text in ((CONFIG, config), ("buildbot.tac", TAC)):
        if not (folder / name).exists():
            (folder / name).write_text(text)


async def upgrade(folder: Path) -> None:
    """Bring Buildbot's database up to the installed Buildbot, once. Needs a running reactor."""
    mark = folder / UPGRADED
    if mark.exists() and mark.read_text() == buildbot.version:
        return
    from buildbot.scripts.upgrade_master import upgradeDatabase  # slow to import, rarely needed

    config: Any = FileLoader(str(folder), CONFIG).loadConfig()
    await upgradeDatabase({"basedir": str(folder), "quiet": True}, config)
    mark.write_text(buildbot.version)


def problems(folder: Path) -> list[str]:
    """What Buildbot itself has against the configuration: the end of `pybots check`."""
    from buildbot.config.errors import ConfigErrors

    try:
        FileLoader(str(folder), CONFIG).loadConfig()
    except ConfigErrors as found:
        return list(found.errors)
    return []

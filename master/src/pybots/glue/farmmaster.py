"""Buildbot's configuration, made of the farm's settings and roster. Reads files and the ledger, never the network."""

from __future__ import annotations

import secrets
import sqlite3
from pathlib import Path
from typing import Any, Final

from buildbot.config import errors
from buildbot.plugins import util
from buildbot.schedulers.triggerable import Triggerable
from sqlalchemy.pool import QueuePool
from twisted.internet.endpoints import quoteStringArgument

from pybots.config.errors import ConfigErrors
from pybots.farm import authority
from pybots.farm.home import Farm, open_farm
from pybots.farm.tokens import write_secret
from pybots.farm.workers import roster as read_roster
from pybots.glue import roster as config
from pybots.glue.service import FarmService

ADMIN: Final = "admin"
ADMIN_SECRET: Final = "buildbot-admin"
LOOPBACK: Final = "127.0.0.1"

LOG_BYTES: Final = 1 << 20
"""Buildbot's copy of a log is for the admin only and capped; the whole one is in the farm's store."""


class Scratch(sqlite3.Connection):
    """Buildbot's database may lose its last moments in a power cut, never its order: the ledger knows the truth."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("pragma synchronous = normal")


ENGINE: Final = {"poolclass": QueuePool, "connect_args": {"factory": Scratch}}
"""One connection that stays. Buildbot's own way is a new one for every transaction, and each that closes writes the
whole log back: measured, 470 transactions and 2,300 fsyncs for four builds."""


def configure(root: Path | str) -> dict[str, Any]:
    """BuildmasterConfig of the farm in `root`. All mistakes in its settings are reported together."""
    try:
        farm = open_farm(Path(root))
    except ConfigErrors as found:
        raise errors.ConfigErrors([str(problem) for problem in found.problems]) from found
    roster = tuple(read_roster(farm))
    builders = config.builders(roster)
    return {
        "title": farm.config.name,
        "titleURL": farm.config.url,
        "buildbotURL": f"http://{LOOPBACK}:{farm.config.buildbot.www_port}/",
        "buildbotNetUsageData": None,
        "db": {"db_url": "sqlite:///state.sqlite", "engine_kwargs": ENGINE},
        "protocols": {"pb": {"port": pb_port(farm)}},
        "workers": config.workers(roster),
        "builders": builders,
        # Buildbot demands a scheduler for every builder; ours are driven by the dispatcher.
        "schedulers": [Triggerable(name="dispatcher", builderNames=[one.name for one in builders])],
        "services": [FarmService(farm=farm, roster=roster)],
        "collapseRequests": False,
        "logMaxSize": LOG_BYTES,
        "logMaxTailSize": LOG_BYTES // 16,
        "logCompressionMethod": "gz",
        "www": www(farm),
    }


def pb_port(farm: Farm) -> str:
    """Where workers connect, as Twisted describes listeners; beyond this machine only with TLS (config.farm)."""
    where = farm.config.buildbot
    interface = quoteStringArgument(where.pb_listen)
    if not farm.config.tls.on:
        return f"tcp:{where.pb_port}:interface={interface}"
    key, certificate = (quoteStringArgument(str(path)) for path in authority.listener(farm.folder))
    return f"ssl:{where.pb_port}:interface={interface}:privateKey={key}:certKey={certificate}"


def www(farm: Farm) -> dict[str, Any]:
    """Buildbot's own pages: on loopback, and for the admin only.

    Everything is allowed by default, also to anonymous visitors, so every endpoint asks for the role. That also
    keeps strangers away from the raw logs, where one aborted download can wedge the master (upstream #8826), so
    that bug needs no patch here. Only its event stream knows no roles: people with an account on this machine can
    hear that builds come and go. The public pages are the web process's."""
    admins = util.Authz(
        allowRules=[
            util.AnyControlEndpointMatcher(role="admins"),
            util.AnyEndpointMatcher(role="admins"),
        ],
        roleMatchers=[util.RolesFromUsername(roles=["admins"], usernames=[ADMIN])],
    )
    return {
        "port": f"tcp:{farm.config.buildbot.www_port}:interface={LOOPBACK}",
        "plugins": {},
        "auth": util.UserPasswordAuth({ADMIN: admin_password(farm)}),
        "authz": admins,
        "change_hook_dialects": {},
    }


def admin_password(farm: Farm) -> str:
    """The admin's password for Buildbot's pages, made once."""
    write_secret(farm.folder.secrets / ADMIN_SECRET, secrets.token_urlsafe(24))
    return farm.config.secret(farm.folder.root, ADMIN_SECRET)

"""Real CPython from Debian's source package, as a repository of two commits; real projects from the package index.

PYBOTS_CPYTHON_SOURCE may name a folder with a downloaded .orig tarball. The downloaded ones are kept in PYBOTS_TEST_CACHE
(default: ~/.cache/pybots/test)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message

from pybots import cli_up
from pybots.farm import local
from pybots.farm.home import open_farm
from pybots.farm.setup import make_folder, write_settings
from pybots.miniature.world import World
from tests.cpython import debian_source
from tests.cpython.debian_source import git
from tests.farm.live import Live

PACKAGE = "python3.11"
PROJECTS = ("idna", "itsdangerous", "markupsafe")
PATIENCE = 1800.0


@dataclass(frozen=True)
class History:
    """A repository with a good commit and one that takes an argument's name away from hmac.new()."""

    path: Path
    good: str
    bad: str


@pytest.fixture(scope="session")
def cpython(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Debian's CPython source, then a commit that breaks what calls `hmac.new(key, msg=…)`: ItsDangerous does."""
    cache = Path(os.environ.get("PYBOTS_TEST_CACHE") or "~/.cache/pybots/test").expanduser()
    try:
        source = debian_source.tarball(
            PACKAGE, Path(os.environ.get("PYBOTS_CPYTHON_SOURCE") or cache)
        )
    except debian_source.NoSourceError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    tree = debian_source.repository(source, tmp_path_factory.mktemp("cpython") / "source")
    good = git(tree, "rev-parse", "HEAD")
    rename(
        tree / "Lib/hmac.py",
        "def new(key, msg=None, digestmod='')",
        "def new(key, message=None, digestmod='')",
    )
    rename(
        tree / "Lib/hmac.py",
        "return HMAC(key, msg, digestmod)",
        "return HMAC(key, message, digestmod)",
    )
    with (tree / "Objects/longobject.c").open("a") as file:
        file.write("\n/* One C file changes, as in most commits. */\n")
    git(tree, "commit", "--quiet", "--all", "--author", "Ada Byron <ada@example.org>", "-m",
        "gh-1: Rename the msg parameter of hmac.new()")  # fmt: skip
    return History(path=tree, good=good, bad=git(tree, "rev-parse", "HEAD"))


def rename(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{path.name} has no {old!r}"
    path.write_text(text.replace(old, new))


@dataclass
class Mailbox(Message):  # type: ignore[misc] # aiosmtpd has no types
    """What a real SMTP server received."""

    letters: list[object] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_message(self, message: object) -> None:
        self.letters.append(message)


@pytest.fixture(scope="session")
def smtp() -> Iterator[tuple[Controller, Mailbox]]:
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=cli_up.free_port(0))
    controller.start()
    yield controller, mailbox
    controller.stop()


@pytest.fixture(scope="session")
def real(
    tmp_path_factory: pytest.TempPathFactory, cpython: History, smtp: tuple[Controller, Mailbox]
) -> Iterator[Live]:
    """A farm over real CPython that has run one full cycle: an earlier commit, then the head."""
    folder = make_folder(tmp_path_factory.mktemp("real") / "farm")
    port = cli_up.free_port(0)
    write_settings(
        folder.config,
        {
            "projects": list(PROJECTS),
            "cpython.repository": str(cpython.path),
            "web.port": port,
            "url": f"http://127.0.0.1:{port}/",
            "buildbot.pb_port": cli_up.free_port(0),
            "buildbot.www_port": cli_up.free_port(0),
            "mail.transport": "smtp",
            "mail.smtp.host": "127.0.0.1",
            "mail.smtp.port": smtp[0].port,
            "investigator.probes_per_day": 0,  # what it would build comes into nobody's way here
        },
    )
    farm = open_farm(folder.root)
    local.enrol_local(farm)
    live = Live(world=World(folder.root), farm=farm)
    live.start()
    try:
        live.calm(PATIENCE)
        yield live
    finally:
        live.stop()

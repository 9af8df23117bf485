"""farm.toml: the farm's settings, as a closed schema; and the checks across its keys."""

from __future__ import annotations

import ipaddress
import stat
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

import pybots
from pybots.config import flavours as flavour_data
from pybots.config import limits as limit_data
from pybots.config.checks import (
    AbsPath,
    AsOfOrNone,
    Branch,
    FarmAddress,
    GitAddress,
    Host,
    Line,
    MailAddress,
    Name,
    Platform,
    Port,
    RevisionOrNone,
    SecretOrNone,
    Title,
    WebAddressOrNone,
    date_text,
    near,
)
from pybots.config.closed import Built, Closed, Several, build, key_text
from pybots.config.errors import ConfigErrors, Problem, in_order, refuse, shown
from pybots.config.flavours import FlavourTable
from pybots.config.limits import LimitTable
from pybots.config.toml import Document, read
from pybots.core.audiences import When
from pybots.core.model import Flavour, Project
from pybots_worker import contract


class CPython(Closed):
    """`[cpython]`: which history is watched. Seconds; `history` counts commits known at first."""

    repository: GitAddress = "https://github.com/python/cpython"
    branches: Several[Branch] = ("main",)
    tags: Several[Branch] = ()
    history: Annotated[int, Field(ge=2, le=10_000)] = 40
    poll_seconds: Annotated[int, Field(ge=5, le=86_400)] = 60
    earlier: bool = True
    pin: RevisionOrNone = ""


class Web(Closed):
    """`[web]`: where the public pages listen. `tls`: with the certificate of `[tls]`, not behind a proxy."""

    listen: Host = "127.0.0.1"
    port: Port = 8010
    tls: bool = False


class Buildbot(Closed):
    """`[buildbot]`: where workers connect, and the port of Buildbot's own pages, always on loopback."""

    pb_listen: Host = "127.0.0.1"
    pb_port: Port = 9989
    www_port: Port = 8011


class Tls(Closed):
    """`[tls]`: the farm's own certificate authority. `names`: hosts and addresses its certificate is for."""

    on: bool = False
    names: Several[Host] = ()


class Smtp(Closed):
    """`[mail.smtp]`: the server that takes the farm's mail."""

    host: Host = "127.0.0.1"
    port: Port = 25
    security: Literal["none", "starttls", "tls"] = "none"
    username: Line = ""
    password_secret: SecretOrNone = ""


PerDay = Annotated[int, Field(ge=1, le=100_000)]


class CapsTable(Closed):
    """`[mail.caps]`: letters a day at most, for each reader of a kind."""

    list: PerDay = 24
    project: PerDay = 8
    owner: PerDay = 4
    admin: PerDay = 24


class Mail(Closed):
    """`[mail]`: from whom, to whom, by which way, and who wants it when."""

    transport: Literal["maildir", "smtp"] = "maildir"
    sender: MailAddress = "pybots@localhost"
    list: MailAddress = "pybots@localhost"
    list_when: When = "now"
    admin: MailAddress = "root@localhost"
    admin_when: When = "now"
    weekly: bool = True
    unsubscribe: WebAddressOrNone = ""
    missing_minutes: Annotated[float, Field(ge=1, le=100_000)] = 60.0
    caps: CapsTable = CapsTable()
    smtp: Smtp = Smtp()


class Gardeners(Closed):
    """`[gardeners]`: whose turn it is to look after untriaged breakages. Turns of `days` days begin at `start`."""

    rota: Several[Title] = ()
    start: Annotated[AsOfOrNone, BeforeValidator(date_text)] = "2026-01-05"
    days: Annotated[int, Field(ge=1, le=366)] = 7


class Index(Closed):
    """`[index]`: the package index; an empty `url` leaves the choice to the client's own configuration."""

    url: WebAddressOrNone = ""
    poll_minutes: Annotated[float, Field(ge=0, le=10_000)] = 60


class StoreTable(Closed):
    """`[store]`: room. `reserve_bytes` stay free on its disk."""

    reserve_bytes: Annotated[int, Field(ge=0, le=1 << 50)] = 2 << 30
    max_artifact_mb: Annotated[int, Field(ge=1, le=10_000)] = 600


class Investigator(Closed):
    """`[investigator]`: how much is spent on finding out which change broke something. 0: nothing."""

    probes_per_day: Annotated[int, Field(ge=0, le=100_000)] = 500


class FarmConfig(Closed):
    """The farm's settings. Every one has a default, so that a farm without farm.toml runs."""

    name: Title = "Pybots"
    url: FarmAddress = "http://127.0.0.1:8010/"
    platforms: Several[Platform] = ("linux-x86_64",)
    projects: Several[Name] = ()
    folders: Several[AbsPath] = ()
    webhook_secret: SecretOrNone = ""
    second_opinions: Annotated[float, Field(ge=0, le=100)] = 1.0
    selected: Several[Name] = Field(("release",), alias="flavours")
    cpython: CPython = CPython()
    flavour: dict[Name, FlavourTable] = Field(default_factory=dict)
    web: Web = Web()
    buildbot: Buildbot = Buildbot()
    tls: Tls = Tls()
    mail: Mail = Mail()
    gardeners: Gardeners = Gardeners()
    investigator: Investigator = Investigator()
    index: Index = Index()
    caps: dict[contract.Phase, LimitTable] = Field(default_factory=dict, alias="limits")
    store: StoreTable = StoreTable()

    @model_validator(mode="before")
    @classmethod
    def _address_from_port(cls, data: Any) -> Any:
        """Where no public address is given, it is the one the pages listen on."""
        if not isinstance(data, dict) or "url" in data or not isinstance(data.get("web"), dict):
            return data
        listen, port = data["web"].get("listen", "127.0.0.1"), data["web"].get("port", 8010)
        if not isinstance(listen, str) or not isinstance(port, int) or not 0 < port < 65536:
            return data
        host = "127.0.0.1" if listen in ("0.0.0.0", "::") else listen
        scheme = "https" if data["web"].get("tls") is True else "http"
        return {**data, "url": f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/"}

    def flavours(self) -> dict[str, Flavour]:
        """Every flavour there is, by name: the built-in ones and the farm's own."""
        return flavour_data.known(self.flavour)

    def flavour_names(self) -> tuple[str, ...]:
        """The flavours this farm builds: the setting `flavours`."""
        return self.selected

    def limits(self, phase: contract.Phase, project: Project | None = None) -> contract.Limits:
        """The caps of one phase of a project's job, or of an interpreter's (None)."""
        return limit_data.limits(phase, project, self.caps.get(phase))

    def project_folders(self, root: Path) -> list[Path]:
        """Where project files lie: the ones that come with Pybots, the farm's, and the `folders` setting."""
        folders = [built_in_projects(), root / "projects", *map(Path, self.folders)]
        return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]

    def secret(self, root: Path, name: str) -> str:
        """A secret's text, from `<root>/secrets/<name>`. Raises ConfigErrors when it is missing or empty."""
        problems = list(secret_problems(str(root / "farm.toml"), name, root / "secrets" / name))
        refuse(problems)
        return (root / "secrets" / name).read_text(encoding="utf-8").strip()

    def registered(self, projects: Mapping[str, Project]) -> dict[str, Project]:
        """The projects this farm runs: the setting `projects`, or all. Unknown names are left out."""
        names = self.projects or tuple(sorted(projects))
        return {name: projects[name] for name in names if name in projects}


def built_in_projects() -> Path:
    """`projects/` of the checkout Pybots runs from (it may not exist elsewhere)."""
    return Path(pybots.__file__).resolve().parents[3] / "projects"


def load_farm(path: Path) -> FarmConfig:
    """The settings in `path`; a file that does not exist means all defaults. Raises ConfigErrors with every mistake."""
    config, problems = examine_farm(path)
    refuse(problems)
    assert config is not None
    return config


def examine_farm(path: Path) -> tuple[FarmConfig | None, list[Problem]]:
    """The settings as far as they can be used, and every mistake and warning."""
    document = read(path) if path.exists() else Document(str(path), {})
    built = build(FarmConfig, document)
    problems = list(built.problems)
    if built.value is not None:
        problems += _across(built, document, path.parent)
    return built.value, in_order(problems)


Found = tuple[tuple[str | int, ...], str, str]
"""Place, message, mend."""


def _across(built: Built[FarmConfig], document: Document, root: Path) -> Iterator[Problem]:
    """The checks that need more than one key. What was wrong by itself is not accused a second time."""
    config = built.value
    assert config is not None
    for place, message, mend in (
        *_flavours(config),
        *_lists(config),
        *_ports(config),
        *_tls(config),
        *_smtp(config.mail),
        *_gardeners(config.gardeners),
    ):
        if built.trusts(*place):
            yield Problem(document.file, key_text(place), message, mend, document.line(place))
    for place, name in _secrets(config):
        if name and built.trusts(*place):
            for found in secret_problems(document.file, name, root / "secrets" / name):
                yield replace(found, key=key_text(place), line=document.line(place))


def _flavours(config: FarmConfig) -> Iterator[Found]:
    for place, message, mend in flavour_data.mistakes(config.flavour):
        yield ("flavour", *place), message, mend
    known = config.flavours()
    for index, name in enumerate(config.selected):
        if name not in known:
            mend = near(name, known) or f"known: {', '.join(known)}"
            yield ("flavours", index), f"unknown flavour {shown(name)}", mend


def _lists(config: FarmConfig) -> Iterator[Found]:
    lists: list[tuple[tuple[str, ...], tuple[str, ...], bool]] = [
        (("platforms",), config.platforms, True),
        (("flavours",), config.selected, True),
        (("cpython", "branches"), config.cpython.branches, not config.cpython.tags),
        (("cpython", "tags"), config.cpython.tags, False),
        (("projects",), config.projects, False),
        (("folders",), config.folders, False),
    ]
    for key, values, needed in lists:
        if needed and not values:
            yield key, "is empty", "name at least one, or remove the key for the default"
        for index, value in enumerate(values):
            if value in values[:index]:
                yield (*key, index), f"{shown(value)} is there twice", "remove one"


def _ports(config: FarmConfig) -> Iterator[Found]:
    taken: dict[int, str] = {}
    for place, port in (
        (("web", "port"), config.web.port),
        (("buildbot", "pb_port"), config.buildbot.pb_port),
        (("buildbot", "www_port"), config.buildbot.www_port),
    ):
        if port in taken:
            yield place, f"{port} is also {taken[port]}", "give each its own port"
        taken.setdefault(port, key_text(place))


def _tls(config: FarmConfig) -> Iterator[Found]:
    if config.tls.on:
        return
    mend = "`pybots init --tls` makes a certificate authority and sets tls.on"
    if config.web.tls:
        yield ("web", "tls"), "needs a certificate, and tls.on is false", mend
    if not _is_loopback(config.buildbot.pb_listen):
        yield ("buildbot", "pb_listen"), "would send credentials in the clear", mend


def _smtp(mail: Mail) -> Iterator[Found]:
    smtp = mail.smtp
    if smtp.username and not smtp.password_secret:
        mend = "name the file in <farm>/secrets that has the password"
        yield ("mail", "smtp", "password_secret"), "is missing, there is a username", mend
    if smtp.password_secret and not smtp.username:
        yield ("mail", "smtp", "username"), "is missing, there is a password_secret", "add it"
    if smtp.username and smtp.security == "none" and not _is_loopback(smtp.host):
        mend = 'set it to "starttls" or "tls"'
        yield ("mail", "smtp", "security"), "would send the password in the clear", mend


def _gardeners(gardeners: Gardeners) -> Iterator[Found]:
    try:
        datetime.fromisoformat(gardeners.start or "2026-01-05")
    except ValueError:
        mend = "write a day that there is"
        yield ("gardeners", "start"), f"{shown(gardeners.start)} is in no calendar", mend


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _secrets(config: FarmConfig) -> list[tuple[tuple[str, ...], str]]:
    password = config.mail.smtp.password_secret if config.mail.transport == "smtp" else ""
    return [
        (("webhook_secret",), config.webhook_secret),
        (("mail", "smtp", "password_secret"), password),
    ]


def secret_problems(file: str, name: str, path: Path) -> Iterator[Problem]:
    """What is wrong with a secret's file: missing, empty, or (a warning) open to others."""
    key = f"secrets/{name}"
    write = f"write it into {path} and chmod 600"
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        yield Problem(file, key, f"secret {shown(name)} cannot be read: {reason}", write)
        return
    if not text.strip():
        yield Problem(file, key, f"secret {shown(name)} is empty", write)
    if stat.S_IMODE(mode) & 0o077:
        message = f"secret {shown(name)} can be read by others"
        yield Problem(file, key, message, f"chmod 600 {path}", level="warning")


__all__ = ["ConfigErrors", "FarmConfig", "load_farm"]

"""Buildbot accepts the configuration that is made of a farm, and nobody but the admin may do anything."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from buildbot.config.errors import ConfigErrors
from buildbot.config.master import MasterConfig
from sqlalchemy import update
from tests.unit.farm.builders import make_farm

from pybots.core.model import Worker
from pybots.farm import workers
from pybots.farm.home import Farm
from pybots.glue import basedir, farmmaster, roster
from pybots.ledger import schema

PLATFORM = "linux-x86_64"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Farm:
    """A farm that is only looked at."""
    return make_farm(tmp_path_factory.mktemp("plain"))


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    return make_farm(tmp_path)


def enrol(farm: Farm, name: str, slots: int) -> None:
    workers.enrol(farm, Worker(name=name, platform=PLATFORM, abi="debian-12-x86_64", slots=slots))


def load(farm: Farm) -> Any:
    return MasterConfig.loadFromDict(farmmaster.configure(farm.folder.root), "master.cfg")


def builders(farm: Farm) -> dict[str, list[str]]:
    return {one.name: one.workernames for one in load(farm).builders}


def test_a_farm_without_workers_can_start(plain: Farm) -> None:
    assert builders(plain) == {roster.NOBODY: [roster.NOBODY]}


def test_workers_sit_on_the_builders_of_their_slots(farm: Farm) -> None:
    enrol(farm, "attic", 2)
    enrol(farm, "cellar", 1)
    assert builders(farm) == {f"{PLATFORM}-1": ["attic", "cellar"], f"{PLATFORM}-2": ["attic"]}


def test_a_name_that_buildbot_refuses_keeps_nobody_else_out(farm: Farm) -> None:
    """Buildbot takes a configuration as a whole or not at all, so what is in the ledger must not spoil it."""
    enrol(farm, "attic", 1)
    for name in ("pi.cellar", "3d-club", "x" * 51):
        enrol(farm, name, 1)
    look_alike = Worker(name="twin", platform="linux-x86.64", abi="debian-12-x86_64")
    workers.enrol(farm, look_alike)  # its slots' folder would be those of linux-x86_64
    assert builders(farm) == {f"{PLATFORM}-1": ["attic"]}
    assert list(load(farm).workers[0].name) == list("attic") and len(load(farm).workers) == 1


def test_a_revoked_worker_cannot_log_in_a_paused_one_can(farm: Farm) -> None:
    enrol(farm, "attic", 1)
    enrol(farm, "cellar", 1)
    table = schema.workers
    with farm.ledger.write() as connection:
        for name, state in (("attic", "revoked"), ("cellar", "paused")):
            connection.execute(update(table).where(table.c.name == name).values(state=state))
    assert [worker.name for worker in load(farm).workers] == ["cellar"]


def test_nothing_listens_beyond_loopback(plain: Farm) -> None:
    config = farmmaster.configure(plain.folder.root)
    ports = [config["protocols"]["pb"]["port"], config["www"]["port"]]
    assert all(port.endswith(":interface=127.0.0.1") for port in ports)


def test_strangers_may_see_and_do_nothing(plain: Farm) -> None:
    """Buildbot allows everything by default, to anonymous visitors too."""
    rules = farmmaster.www(plain)["authz"].allowRules
    assert [rule.role for rule in rules] == ["admins", "admins"]
    assert all(rule.defaultDeny for rule in rules)


def test_the_admins_password_is_made_once_and_kept_secret(plain: Farm) -> None:
    first = farmmaster.admin_password(plain)
    assert len(first) >= 24
    assert farmmaster.admin_password(plain) == first
    path = plain.folder.secrets / farmmaster.ADMIN_SECRET
    assert path.stat().st_mode & 0o077 == 0


def test_nothing_is_sent_anywhere_and_no_request_is_merged(plain: Farm) -> None:
    config = load(plain)
    assert config.buildbotNetUsageData is None
    assert config.collapseRequests is False


def test_loading_needs_no_network(plain: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    load(plain)


def test_every_mistake_in_the_settings_is_reported(farm: Farm) -> None:
    farm.folder.config.write_text("colour = 1\n[web]\nport = -1\n")
    with pytest.raises(ConfigErrors) as found:
        farmmaster.configure(farm.folder.root)
    assert len(found.value.errors) == 2


def test_the_configuration_file_is_a_dozen_lines() -> None:
    text = (Path(farmmaster.__file__).with_name("master.cfg")).read_text()
    assert len(text.splitlines()) <= 12


def test_buildbot_itself_checks_the_base_directory(farm: Farm) -> None:
    basedir.prepare(farm.folder.master)
    assert basedir.problems(farm.folder.master) == []
    farm.folder.config.write_text("colour = 1\n")
    assert any("colour" in problem for problem in basedir.problems(farm.folder.master))


def test_what_the_admin_changed_in_the_base_directory_stays(farm: Farm) -> None:
    basedir.prepare(farm.folder.master)
    path = farm.folder.master / "master.cfg"
    path.write_text(path.read_text() + "# mine\n")
    basedir.prepare(farm.folder.master)
    assert path.read_text().endswith("# mine\n")

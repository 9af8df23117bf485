"""Invitations, the roster's changes, signs of life: what the ledger keeps of them, and what it refuses."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select
from tests.unit.farm.builders import START, Clock, make_farm

from pybots.core.model import Project, Worker
from pybots.core.schedule import able
from pybots.farm import authority, invitations, kit, signs, workers
from pybots.farm.home import Farm
from pybots.farm.invitations import NotInvited, Wish
from pybots.farm.workers import RosterError
from pybots.ledger import schema
from pybots_worker import contract, welcome
from pybots_worker.welcome import Decisions, Hello, Join, Machine, Rest, Signs

HERE = Machine(platform="linux-x86_64", abi="debian-12-x86_64", slots=2, facts=("git",))
MINE = "c" * 43


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    return make_farm(tmp_path)


def invite(farm: Farm, **wish: Any) -> str:
    return str(invitations.invite(farm, Wish(**{"owner": "Ada Lovelace", **wish}))[1])


def asked(code: str, credential: str = MINE, **changes: Any) -> Join:
    return Join(version=1, code=code, credential=credential, machine=HERE, **changes)


def later(farm: Farm, days: float) -> Farm:
    return dataclasses.replace(farm, clock=Clock(START + days * 86_400))


def roster(farm: Farm) -> dict[str, Any]:
    return {row.name: row for row in workers.everyone(farm)}


def test_the_ledger_never_has_the_code(farm: Farm) -> None:
    code = invite(farm)
    with farm.ledger.read() as connection:
        row = connection.execute(select(schema.invitations)).one()
    assert code.split("-")[1] not in str(row)
    assert row.code_hash == welcome.fingerprint(welcome.read_code(code))


def test_a_code_makes_one_worker(farm: Farm) -> None:
    code = invite(farm, email="ada@example.org", projects=(), kinds=("project",))
    row = invitations.accept(farm, asked(code, decisions=Decisions(network="install")))
    assert (row.name, row.state, row.owner, row.email) == (
        "ada-lovelace", "approved", "Ada Lovelace", "ada@example.org",
    )  # fmt: skip
    assert (row.kinds, row.network, row.facts, row.slots) == (["project"], "install", ["git"], 2)
    assert invitations.accept(farm, asked(code)).name == row.name, "the answer had got lost"
    with pytest.raises(NotInvited, match="has been used"):
        invitations.accept(farm, asked(code, "d" * 43))
    assert list(roster(farm)) == ["ada-lovelace"]
    assert [one.credential for one in workers.roster(farm)] == [MINE]


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("hunter2", "not an invitation's code"),
        (f"pybots1-{'a' * 26}-0", "no invitation has this code"),
    ],
)
def test_other_codes_are_refused_in_words(farm: Farm, code: str, why: str) -> None:
    with pytest.raises(NotInvited, match=why):
        invitations.accept(farm, asked(code))


def test_codes_end(farm: Farm) -> None:
    code = invite(farm, days=1)
    with pytest.raises(NotInvited, match="has expired"):
        invitations.accept(later(farm, 1.01), asked(code))
    number, second = invitations.invite(farm, Wish(owner="Bob"))
    assert [one.id for one in invitations.standing(farm)] == [1, 2]
    invitations.withdraw(farm, number)
    assert [one.id for one in invitations.standing(farm)] == [1]
    with pytest.raises(RosterError):
        invitations.withdraw(farm, number)
    with pytest.raises(NotInvited):
        invitations.accept(farm, asked(str(second)))


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ({"owner": " "}, "owner's name"),
        ({"owner": "ada@example.org"}, "given with --email"),
        ({"email": "nobody"}, "no mail address"),
        ({"email": "a@b\nBcc: c@d"}, "no mail address"),
        ({"name": "../x"}, "no worker's name"),
        ({"trust": "A B"}, "trust group"),
        ({"days": 1000.0}, "at most 90 days"),
        ({"projects": ("nothing",)}, "not registered: nothing"),
    ],
)
def test_unfit_wishes_are_refused(farm: Farm, wish: dict[str, Any], why: str) -> None:
    with pytest.raises(RosterError, match=why):
        invite(farm, **wish)


def test_names_don_t_clash(farm: Farm) -> None:
    names = [
        invitations.accept(farm, asked(invite(farm), str(n) * 43, name=wish)).name
        for n, wish in enumerate(["", "", "attic", "attic"])
    ]
    assert names == ["ada-lovelace", "ada-lovelace-2", "attic", "attic-2"]


@pytest.mark.parametrize(
    ("wish", "name"),
    [
        ("pi.attic", "pi-attic"),
        ("3d-club", "worker-3d-club"),
        ("x" * 80, "x" * 40),
        ("local", "worker-local"),
        ("invitation-7", "worker-invitation-7"),
        ("nobody", "worker-nobody"),
        ("9" * 80, "worker-" + "9" * 40),
        ("a-", "a-"),
        ("0", "worker-0"),
    ],
)
def test_a_wish_becomes_a_name_that_means_nothing_else(farm: Farm, wish: str, name: str) -> None:
    """Buildbot takes no other form, `local` is the farm's own worker, `revoke invitation-7` takes an invitation back."""
    row = invitations.accept(farm, asked(invite(farm), name=wish))
    assert row.name == name and workers.is_name(row.name)
    second = invitations.accept(farm, asked(invite(farm), "d" * 43, name=wish))
    assert workers.is_name(second.name) and second.name != row.name


def test_an_owner_whose_name_is_no_workers_gets_a_name(farm: Farm) -> None:
    names = [
        invitations.accept(farm, asked(invite(farm, owner=owner), str(n) * 43)).name
        for n, owner in enumerate(["3D Printing Club", "Ψ", "Local", "Invitation"])
    ]
    assert names == ["worker-3d-printing-club", "worker", "worker-local", "worker-invitation"]


def test_the_farms_own_words_are_nobodys_name(farm: Farm) -> None:
    with pytest.raises(RosterError):
        invite(farm, name="local")
    invitations.accept(farm, asked(invite(farm)))
    for new in ("local", "invitation-3", "pi.attic", "9lives", "x" * 51):
        with pytest.raises(RosterError, match="is no name"):
            workers.rename(farm, "ada-lovelace", new)
    workers.enrol(farm, Worker(name=workers.LOCAL, platform="linux-x86_64", abi="x"))
    with pytest.raises(RosterError, match="keeps its name"):
        workers.rename(farm, workers.LOCAL, "mine")


def test_whoever_says_another_place_every_moment_is_not_listened_to(farm: Farm) -> None:
    """Each change of slots or platform makes the master read its configuration anew."""
    invitations.accept(farm, asked(invite(farm)))

    def told(slots: int, after: float) -> int:
        said = msgspec.structs.replace(HERE, slots=slots)
        there = later(farm, after / 86_400)
        signs.hello(there, MINE, msgspec.structs.replace(hello(), machine=said))
        return int(roster(farm)["ada-lovelace"].slots)

    assert told(3, 10) == 3, "the owner changed something"
    assert told(4, 20) == 3
    assert told(4, 300) == 3
    assert told(4, 10 + signs.PLACE_SECONDS) == 4, "the next hello brings it"


def test_what_turns_a_terminal_over_is_not_even_read() -> None:
    """A worker's words stand in `pybots worker list` too, on its admin's terminal."""
    for odd in ("\x1b[2J", "a\nb", "\u202egnp", "\x9b31m"):
        said = msgspec.structs.replace(hello(), rest=Rest(why=odd))
        with pytest.raises(contract.ContractError):
            welcome.decode(welcome.encode(said), Hello)
    for platform in ("linux-x86.64", "linux", "../x", "linux-x86_64-1"):
        told = msgspec.structs.replace(HERE, platform=platform)
        with pytest.raises(contract.ContractError):
            welcome.decode(welcome.encode(msgspec.structs.replace(hello(), machine=told)), Hello)


def test_review_means_to_wait(farm: Farm) -> None:
    invitations.accept(farm, asked(invite(farm, review=True)))
    with farm.ledger.read() as connection:
        assert workers.approved(connection) == []
    assert len(workers.roster(farm)) == 1, "it may connect meanwhile"
    assert workers.set_state(farm, "ada-lovelace", "approved") == "waiting"
    with farm.ledger.read() as connection:
        assert len(workers.approved(connection)) == 1


def test_a_rekeyed_worker_is_what_it_was(farm: Farm) -> None:
    invitations.accept(farm, asked(invite(farm)))
    before = roster(farm)["ada-lovelace"]
    _, code = invitations.rekey(farm, "ada-lovelace")
    assert roster(farm)["ada-lovelace"].credential != MINE
    with pytest.raises(NotInvited):
        signs.hello(farm, MINE, hello())
    invitations.accept(farm, asked(str(code), "d" * 43))
    after = roster(farm)["ada-lovelace"]
    assert after.credential == "d" * 43
    assert (after.joined, after.state, after.owner) == (before.joined, before.state, before.owner)


def test_a_second_rekey_makes_the_first_ones_code_worthless(farm: Farm) -> None:
    """Whoever re-keys twice does so because the first code went astray."""
    invitations.accept(farm, asked(invite(farm)))
    _, astray = invitations.rekey(farm, "ada-lovelace")
    number, code = invitations.rekey(farm, "ada-lovelace")
    assert [one.id for one in invitations.standing(farm)] == [number]
    with pytest.raises(NotInvited, match="has expired"):
        invitations.accept(farm, asked(str(astray), "e" * 43))
    assert invitations.accept(farm, asked(str(code), "d" * 43)).name == "ada-lovelace"


def test_a_rename_takes_the_history_along(farm: Farm) -> None:
    invitations.accept(farm, asked(invite(farm)))
    invitations.accept(farm, asked(invite(farm, name="other"), "d" * 43))
    workers.rename(farm, "ada-lovelace", "countess")
    assert sorted(roster(farm)) == ["countess", "other"]
    assert signs.hello(farm, MINE, hello()).name == "countess"
    for new in ("other", "No Name"):
        with pytest.raises(RosterError):
            workers.rename(farm, "countess", new)
    with pytest.raises(RosterError, match="no worker 'nobody'"):
        workers.rename(farm, "nobody", "x")


WELL = Signs(clock=START + 90, disk_free_bytes=100 << 30)


def hello(**changes: Any) -> Hello:
    return Hello(**{"version": 1, "machine": HERE, "signs": WELL, **changes})


def test_a_worker_says_how_it_is(farm: Farm) -> None:
    invitations.accept(farm, asked(invite(farm)))
    before = farm.ledger.data_version()
    signs.hello(farm, MINE, hello())
    assert farm.ledger.data_version() == before, "nothing that others must hear of"
    ill = Signs(clock=START + 7200, disk_free_bytes=100 << 30)
    signs.hello(farm, MINE, hello(signs=ill))
    assert farm.ledger.data_version() > before, "the watchdog must look"
    before = farm.ledger.data_version()
    signs.hello(farm, MINE, hello(rest=Rest(why="paused by its owner", until=START + 60)))
    row = roster(farm)["ada-lovelace"]
    assert (row.health["skew"], row.resting, row.rest_until) == (
        90.0,
        "paused by its owner",
        START + 60,
    )
    assert farm.ledger.data_version() > before
    with farm.ledger.read() as connection:
        assert workers.resting(connection) == {"ada-lovelace"}
    signs.hello(farm, MINE, hello())
    with farm.ledger.read() as connection:
        assert workers.resting(connection) == set()


def test_an_owner_can_only_narrow_what_the_farm_allows(farm: Farm) -> None:
    invitations.accept(farm, asked(invite(farm, kinds=("project",))))
    signs.hello(farm, MINE, hello(decisions=Decisions(kinds=("interpreter",))))
    assert roster(farm)["ada-lovelace"].kinds == [invitations.NOTHING]
    signs.hello(farm, MINE, hello(decisions=Decisions(kinds=())))
    assert roster(farm)["ada-lovelace"].kinds == ["project"]


def test_who_was_revoked_hears_why_and_changes_nothing(farm: Farm) -> None:
    invitations.accept(farm, asked(invite(farm)))
    workers.set_state(farm, "ada-lovelace", "revoked", "it mined coins")
    said = signs.hello(farm, MINE, hello(leaving=True))
    assert (said.state, said.reason) == ("revoked", "it mined coins")
    assert roster(farm)["ada-lovelace"].state == "revoked"
    assert workers.roster(farm) == []


def test_leaving_retires(farm: Farm) -> None:
    invitations.accept(farm, asked(invite(farm)))
    signs.hello(farm, MINE, hello(leaving=True))
    assert roster(farm)["ada-lovelace"].state == "retired"


def make_project(**changes: Any) -> Project:
    return Project(**{
        "name": "p", "title": "P", "sources": {}, "install": contract.Install(),
        "test": contract.Test(runner="pytest"), **changes,
    })  # fmt: skip


def test_a_lane_needs_somebody_who_builds_and_somebody_who_may_test() -> None:
    builder = Worker(name="b", platform="linux-x86_64", abi="x")
    tester = Worker(name="t", platform="linux-x86_64", abi="x", kinds=("project",))
    lonely = dataclasses.replace(tester, name="l", abi="y")
    offline = dataclasses.replace(builder, name="o", network="none")
    found = able(make_project(), "linux-x86_64", [tester, builder, lonely, offline])
    assert [worker.name for worker in found] == ["t", "b"]


def test_the_authority_is_made_once_and_its_certificate_anew_when_names_change(farm: Farm) -> None:
    folder = farm.folder
    assert authority.der(folder) is None
    assert authority.establish(folder, ["farm.example"], START)
    first = authority.certificate(folder)
    assert not authority.establish(folder, ["farm.example"], START)
    assert authority.establish(folder, ["farm.example", "192.0.2.1"], START)
    assert authority.establish(folder, ["farm.example", "192.0.2.1"], START + 800 * 86_400)
    assert authority.certificate(folder) == first
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.secrets.iterdir())


def test_the_kit_is_the_same_bytes_every_time() -> None:
    made = kit.kit()
    assert made.name.endswith("-py3-none-any.whl")
    assert hashlib.sha256(made.data).hexdigest() == made.sha256
    kit.kit.cache_clear()
    assert kit.kit() == made

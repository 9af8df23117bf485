"""The watchdog on a live farm: a worker that is gone, comes and goes, or has a wrong clock; its owner hears once, and again
when it is well. Beside it another worker goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from sqlalchemy import update
from tests.hard import farm_yard
from tests.hard.farm_yard import ADMIN, Yard
from tests.hard.knocking import log_in, take_and_go

from pybots.core.health import HOUR, MOST_PARTINGS
from pybots.farm.workers import set_state
from pybots.ledger import schema
from pybots_worker import farmlink, settings, signs
from pybots_worker.farmlink import Way
from pybots_worker.welcome import Hello

workers, events = schema.workers, schema.events
OWNER = "bob@example.org"


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """The farm's own worker, and Bob's attic, which is connected when a test begins and when it ends."""
    made = farm_yard.make(tmp_path_factory.mktemp("watchdog"), ("sprout",))
    made.hire("attic")
    with farm_yard.running(made):
        made.start("attic")
        connected(made)
        yield made


def attic(yard: Yard) -> Any:
    return yard.rows(workers, workers.c.name == "attic")[0]


def connected(yard: Yard) -> None:
    yard.wait(lambda: attic(yard).connected, "attic's connection")


def told(yard: Yard, words: str) -> list[str]:
    """Who got a letter with these words in its subject."""
    return sorted(str(one["To"]) for one in yard.letters() if words in str(one["Subject"]))


def later(yard: Yard, seconds: float) -> None:
    """As if so much time had passed: what is remembered of attic is older."""
    with yard.farm.ledger.write() as connection:
        mine = workers.c.name == "attic"
        connection.execute(
            update(workers).where(mine).values(last_seen=workers.c.last_seen - seconds)
        )
        connection.execute(update(events).values(at=events.c.at - seconds))
    yard.wake("mail")


def credential(yard: Yard) -> str:
    return (yard.farm.folder.root / "attic" / "password").read_text().strip()


def hello(yard: Yard, **changes: Any) -> str:
    """A sign of life of attic's, as the kit sends it; the state that the farm answers."""
    root = yard.farm.folder.root / "attic"
    said = signs.hello(settings.load(root), root)
    told = msgspec.structs.replace(said.signs, **changes)
    made: Hello = msgspec.structs.replace(said, signs=told)
    way, until = Way(url=yard.farm.config.url), time.monotonic() + 60
    while True:
        try:
            return str(farmlink.hello(way, credential(yard), made).state)
        except farmlink.LinkError as error:  # attic may have spoken itself, and more is not heard
            if "too much" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(2)  # it was told when to try again; no event says that the time has come


def quarantined(yard: Yard, words: str) -> None:
    """Given nothing, with a reason on its page; admin and owner have one letter. The other worker works."""
    yard.wait(lambda: attic(yard).state == "quarantined", "the quarantine", 60)
    assert words in attic(yard).reason
    assert words in yard.get("/worker/attic")
    sha = yard.commit("good-c-change")
    assert yard.verdict(sha, "sprout").verdict == "passed"
    assert {one.worker for run in yard.of(sha, "sprout") for one in yard.tries(run.id)} == {"local"}


def test_an_owner_hears_once_that_a_worker_is_missing_and_that_it_is_back(yard: Yard) -> None:
    yard.kill("attic")
    yard.wait(lambda: not attic(yard).connected, "the end of its connection")
    later(yard, 60.0 * yard.farm.config.mail.missing_minutes + 60)
    yard.wait(lambda: told(yard, "attic is missing"), "the letter")
    yard.wake("mail")
    yard.start("attic")
    connected(yard)
    yard.wait(lambda: told(yard, "attic is back"), "the letter")
    assert (told(yard, "attic is missing"), told(yard, "attic is back")) == ([OWNER], [OWNER])


def test_a_wrong_clock_is_quarantined_at_once_and_forgiven_when_it_is_right(yard: Yard) -> None:
    assert hello(yard, clock=time.time() + 3600) == "approved"
    quarantined(yard, "s ahead of the farm")
    assert hello(yard, clock=time.time() + 3600) == "quarantined"
    hello(yard)
    yard.wait(lambda: attic(yard).state == "approved", "the release", 60)
    yard.wait(lambda: told(yard, "attic gets no work"), "the letters")
    assert told(yard, "attic gets no work") == sorted([ADMIN, OWNER]), "one each"


def narrow(yard: Yard, size: str) -> None:
    """From its next start on attic lives on a disk of its own, of this size: a file system in memory that nobody else sees."""
    root = yard.farm.folder.root / "attic"
    settings.change(root, {"farm": yard.farm.config.url, "credential": credential(yard)})
    folder = str(root)
    [program] = [one for one in yard.more if one.name == "attic"]
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    words = ["unshare", *rights, "--mount", "sh", "-ec", NARROW, "sh", folder, size]
    if subprocess.run([*words, "true"], check=False).returncode:
        pytest.skip("no file system may be mounted here, not even in a namespace of one's own")
    kit = [sys.executable, "-m", "pybots_worker.cli", "run", "--root", folder]
    code = f"import os; os.execvp('unshare', {[*words, *kit]!r})"
    yard.more[yard.more.index(program)] = replace(program, arguments=("-c", code))


NARROW = """
kept=$(mktemp -d)
cp -a "$1/worker.toml" "$1/password" "$kept"
mount -t tmpfs -o size="$2" none "$1"
cp -a "$kept"/* "$1"
rm -r "$kept"
shift 2
exec "$@"
"""


def test_a_worker_without_room_is_given_nothing_until_it_has_some(yard: Yard) -> None:
    """The kit itself says what is free on its disk, when it starts and every ten minutes."""
    [plain] = [one for one in yard.more if one.name == "attic"]
    file = yard.farm.folder.root / "attic" / settings.FILE
    before = file.read_text()
    yard.stop("attic")
    narrow(yard, "1g")
    yard.start("attic")
    quarantined(yard, "only 1.0 GiB are free on its disk")
    yard.stop("attic")
    narrow(yard, "4g")
    yard.start("attic")
    yard.wait(lambda: attic(yard).state == "approved", "the release", 60)
    yard.stop("attic")
    yard.more[[one.name for one in yard.more].index("attic")] = plain
    file.write_text(before)
    yard.start("attic")
    connected(yard)


def test_a_worker_that_takes_work_and_goes_is_quarantined_when_others_do_it(yard: Yard) -> None:
    """It logs in as a worker does, takes orders, and is gone; local does what it lost. The admin has to look at it."""
    yard.stop("attic")
    yard.hire("sieve", "Mallory")
    password = (yard.farm.folder.root / "sieve" / "password").read_text().strip()
    yard.wait(lambda: not log_in(yard, "sieve", password), "the master's knowledge of it")
    for _ in range(3):
        set_state(yard.farm, "local", "paused")
        sha = yard.commit("good-c-change")
        for _ in range(2):  # a third time would be the build's last
            take_and_go(yard, "sieve", password)
        set_state(yard.farm, "local", "approved")
        assert yard.verdict(sha, "sprout").verdict == "passed"

    def sieve() -> Any:
        return yard.rows(workers, workers.c.name == "sieve")[0]

    yard.start("attic")  # news of any worker makes the watchdog look, else it does once a minute
    connected(yard)
    yard.wait(lambda: sieve().state == "quarantined", "the quarantine", 90)
    assert "builds in a day that other workers finished" in sieve().reason


def test_a_connection_that_comes_and_goes_is_quarantined_until_it_holds(yard: Yard) -> None:
    yard.stop("attic")
    for _ in range(MOST_PARTINGS + 1):
        assert log_in(yard, "attic", credential(yard), stay=0.1) == ""
        yard.wait(lambda: not attic(yard).connected, "the end of the connection")
    quarantined(yard, "times in an hour")
    yard.start("attic")
    connected(yard)
    assert attic(yard).state == "quarantined", "it may connect, and is given nothing"
    later(yard, HOUR)
    hello(yard)
    yard.wait(lambda: attic(yard).state == "approved", "the release", 90)

"""What an owner lets a job be and have; when; what an invitation's code is."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.worker.kit_builders import make_interpreter_work, make_job

from pybots_worker import rules, settings, signs, welcome
from pybots_worker.attendance import LOAD_SECONDS, OwnLoad
from pybots_worker.contract import ContractError
from pybots_worker.hours import HoursError, minutes_until, read_hours
from pybots_worker.settings import SettingsError, WorkshopSettings
from pybots_worker.welcome import CodeError

MON, SAT, SUN = 0, 5, 6
LARGE = rules.Room(memory=1 << 50, disk=1 << 50)


@pytest.mark.parametrize(
    ("entries", "day", "time", "wait"),
    [
        ((), MON, 0, 0),
        (("22:00-07:00",), MON, 23 * 60, 0),
        (("22:00-07:00",), MON, 6 * 60 + 59, 0),
        (("22:00-07:00",), MON, 7 * 60, 15 * 60),
        (("mon-fri 18:00-08:00",), SAT, 7 * 60, 0),
        (("mon-fri 18:00-08:00",), SAT, 9 * 60, 57 * 60),
        (("mon-fri 18:00-08:00", "sat-sun"), SUN, 12 * 60, 0),
        (("sun 20:00-06:00",), MON, 5 * 60, 0),
        (("sat-mon",), SUN, 0, 0),
        (("fri,sun",), SAT, 0, 24 * 60),
    ],
)
def test_hours_say_how_long_to_wait(
    entries: tuple[str, ...], day: int, time: int, wait: int
) -> None:
    assert minutes_until(read_hours(entries), day, time) == wait


@pytest.mark.parametrize(
    "entry", ["", "nights", "25:00-26:00", "8-17", "mon tue", "24:30-1:00", "8:00-8:00"]
)
def test_hours_that_mean_nothing_are_refused(entry: str) -> None:
    with pytest.raises(HoursError, match="is not like"):
        read_hours([entry])


def objection(**decided: Any) -> str:
    return rules.objection(make_job(), WorkshopSettings(**decided))


def test_the_owner_decides_which_jobs_run() -> None:
    project = make_job().work.project  # type: ignore[union-attr] # it is a project's
    assert objection() == objection(projects=(project,), kinds=("project",)) == ""
    assert "does not let it run" in objection(projects=("another",))
    assert "no work of the kind 'project'" in objection(kinds=("interpreter",))
    assert "gives no network" in objection(network="none")
    assert (
        rules.objection(make_job(make_interpreter_work()), WorkshopSettings(projects=("x",))) == ""
    )
    assert rules.objection(make_job(make_interpreter_work()), WorkshopSettings(kinds=("project",)))


def test_the_owners_caps_only_ever_lower_the_farms() -> None:
    job = make_job()
    tight = rules.capped(job, WorkshopSettings(memory_mb=1, disk_mb=2), LARGE)
    assert {one.memory_bytes for one in tight.limits.values()} == {1 << 20}
    assert {one.disk_bytes for one in tight.limits.values()} == {2 << 20}
    assert rules.capped(job, WorkshopSettings(), LARGE) == job
    assert rules.capped(job, WorkshopSettings(memory_mb=99_000_000), LARGE) == job


def test_no_job_takes_all_that_a_machine_has_whatever_the_master_says() -> None:
    endless = make_job()
    limits = {
        phase: msgspec.structs.replace(one, memory_bytes=2**53, disk_bytes=2**53, processes=2**53)
        for phase, one in endless.limits.items()
    }
    endless = msgspec.structs.replace(endless, limits=limits)
    small = rules.Room(memory=2 << 30, disk=10 << 30)
    for one in rules.capped(endless, WorkshopSettings(), small).limits.values():
        assert one.memory_bytes == (2 << 30) - rules.OTHERS_MEMORY
        assert one.disk_bytes == (10 << 30) - rules.OTHERS_DISK
        assert one.processes == rules.PROCESSES
    full = rules.Room(memory=256 << 20, disk=0)
    for one in rules.capped(endless, WorkshopSettings(), full).limits.values():
        assert one.memory_bytes > 0 and one.disk_bytes > 0, "a cap is never none"


def test_a_code_survives_being_typed_and_says_nothing_about_itself() -> None:
    code = welcome.code_of(b"0123456789abcdef", b"a certificate")
    assert welcome.read_code(f"  {str(code).upper()}\n") == code
    assert code.secret not in repr(code)
    assert code.pin == welcome.pin_of(b"a certificate") != welcome.pin_of(b"another")
    assert welcome.code_of(b"0123456789abcdef", None).pin == ""
    assert len(welcome.fingerprint(code)) == 64 and code.secret not in welcome.fingerprint(code)
    for wrong in ("", "pybots1", f"pybots1-{code.secret}", f"pybots2-{code.secret}-0"):
        with pytest.raises(CodeError):
            welcome.read_code(wrong)


def test_only_messages_of_their_shape_are_read() -> None:
    known = welcome.Known(name="ada", state="approved", clock=1.0)
    assert welcome.decode(welcome.encode(known), welcome.Known) == known
    for data in (b"{}", b"[", b'{"name": "ada", "state": "king", "clock": 1}', b" " * (1 << 17)):
        with pytest.raises(ContractError):
            welcome.decode(data, welcome.Known)


def test_settings_are_private_and_keep_what_the_owner_wrote(tmp_path: Path) -> None:
    file = tmp_path / settings.FILE
    file.write_text('# mine\nname = "a"\nhours = ["sat-sun"] # weekends\n')
    made = settings.change(tmp_path, {"name": "b", "credential": "secret", "ca": "one\ntwo\n"})
    assert made == settings.load(tmp_path)
    assert (made.name, made.ca, made.hours) == ("b", "one\ntwo\n", ("sat-sun",))
    assert file.stat().st_mode & 0o077 == 0
    assert "# mine" in file.read_text() and "# weekends" in file.read_text()
    assert "secret" not in repr(made)
    with pytest.raises(SettingsError):
        settings.change(tmp_path, {"slots": 0})
    file.write_text('hours = ["whenever"]\n')
    with pytest.raises(SettingsError, match="whenever"):
        settings.load(tmp_path)


def test_a_pause_ends_by_itself_and_outlives_a_restart(tmp_path: Path) -> None:
    def rest(now: float, load: float = 0.0, **decided: Any) -> str:
        found = signs.rest(tmp_path, WorkshopSettings(**decided), now, load)
        return found.why if found else ""

    assert rest(1000.0) == ""
    signs.pause(tmp_path, 2000.0)
    assert rest(1999.0) == "paused by its owner"
    assert rest(2000.0) == ""
    signs.pause(tmp_path, None)
    assert rest(1e9) == "paused by its owner"
    (tmp_path / signs.PAUSED).write_text("broken")
    assert rest(1e9) == "paused by its owner", "somebody meant a pause"
    signs.resume(tmp_path)
    assert "busy (load 2.5" in rest(1.0, 2.5, max_load=2.0)
    assert rest(1.0, 2.5) == rest(1.0, 1.9, max_load=2.0) == ""


def test_our_own_work_is_no_reason_to_rest() -> None:
    own = OwnLoad()
    own.update(1000.0, 0.0)
    assert own.update(1000.0 + LOAD_SECONDS, 2.0) == pytest.approx(2.0 * (1 - math.exp(-1)))
    assert own.update(1000.0 + 100 * LOAD_SECONDS, 2.0) == pytest.approx(2.0)
    assert own.update(1000.0 + 200 * LOAD_SECONDS, 0.0) == pytest.approx(0.0, abs=1e-6)


def test_a_folder_has_one_worker(tmp_path: Path) -> None:
    assert signs.runner(tmp_path) is None
    with signs.alone(tmp_path) as first, signs.alone(tmp_path) as second:
        assert first and not second
        assert signs.runner(tmp_path)
    assert signs.runner(tmp_path) is None


def test_decisions_are_told_as_they_are_written() -> None:
    said = rules.decisions(WorkshopSettings(projects=("a",), kinds=("project",), network="install"))
    assert msgspec.to_builtins(said) == {
        "projects": ("a",),
        "kinds": ("project",),
        "network": "install",
    }

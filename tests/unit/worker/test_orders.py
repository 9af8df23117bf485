"""What a master may ask of a worker: Jobs, and slots by name; everything else is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.worker.kit_builders import (
    make_blob,
    make_interpreter_work,
    make_job,
    make_project_work,
)

from pybots_worker import orders
from pybots_worker.contract import GitSource, encode

PLATFORM = "linux-x86_64"


def ask(job: Any = None, phase: str = "source", *, local: bool = False) -> orders.Order:
    data = encode(job or make_job()).decode()
    return orders.read("pybots", {"job": data, "phase": phase}, local=local)


def test_a_phase_of_a_job_is_an_order() -> None:
    order = ask()
    assert (order.job, order.phase, order.folder) == (make_job(), "source", "7-3")


@pytest.mark.parametrize("command", ["shell", "uploadFile", "mkdir", "", None, 7, b"pybots"])
def test_there_is_one_command(command: object) -> None:
    arguments = {"job": encode(make_job()).decode(), "phase": "source"}
    with pytest.raises(orders.Refused, match="one command"):
        orders.read(command, arguments, local=True)


@pytest.mark.parametrize(
    "arguments",
    [
        None,
        {},
        {"job": "{}"},
        {"job": "{}", "phase": "source", "workdir": "/"},
        {"job": b"{}", "phase": "source"},
        {"job": "{}", "phase": ["source"]},
        ["job", "phase"],
    ],
)
def test_the_arguments_are_closed(arguments: object) -> None:
    with pytest.raises(orders.Refused):
        orders.read("pybots", arguments, local=True)


@pytest.mark.parametrize("data", ["", "[]", "{}", "not json", '{"contract": 99}'])
def test_what_is_not_a_job_is_refused(data: str) -> None:
    with pytest.raises(orders.Refused, match="not a Job"):
        orders.read("pybots", {"job": data, "phase": "source"}, local=True)


def test_a_job_with_an_unknown_key_is_refused() -> None:
    data = json.loads(encode(make_job()))
    data["run_as"] = "root"
    with pytest.raises(orders.Refused, match="run_as"):
        orders.read("pybots", {"job": json.dumps(data), "phase": "source"}, local=True)


def test_a_phase_of_the_other_kind_of_job_is_refused() -> None:
    with pytest.raises(orders.Refused, match="phases interpreter, source"):
        ask(phase="compile")


@pytest.mark.parametrize(
    "work",
    [
        make_project_work(source=GitSource(url="file:///home/me/private", commit="a" * 40)),
        make_project_work(source=GitSource(url="ssh://git@example.org/x", commit="a" * 40)),
        make_interpreter_work(source=make_blob(url="file:///etc/passwd")),
    ],
)
def test_a_job_may_not_name_files_of_this_machine_unless_its_owner_allowed_it(work: Any) -> None:
    with pytest.raises(orders.Refused, match="may not name"):
        ask(make_job(work))
    assert ask(make_job(work), local=True).job.work == work


def test_every_address_of_a_job_is_looked_at() -> None:
    """A place for an address that is added to the contract must be added to `addresses`."""
    for work in (make_project_work(), make_interpreter_work()):
        job = make_job(work)
        text = encode(job).decode()
        assert len(list(orders.addresses(job))) == text.count('"url":')


def test_slots_of_this_worker_are_accepted() -> None:
    wanted = [(f"{PLATFORM}-1", "x"), (f"{PLATFORM}-2", "y")]
    assert orders.builders(wanted, platform=PLATFORM, slots=2) == [f"{PLATFORM}-1", f"{PLATFORM}-2"]


@pytest.mark.parametrize(
    "name",
    [
        "../../escape",
        "/tmp/escape",
        "",
        "info",
        f"{PLATFORM}-0",
        f"{PLATFORM}-3",
        f"{PLATFORM}-1/../x",
        f"{PLATFORM}-1\n",
        f"{PLATFORM}-100000000000000000000",
        "darwin-arm64-1",
    ],
)
def test_a_builder_of_another_form_is_not_there(name: str) -> None:
    assert orders.builders([(name, name)], platform=PLATFORM, slots=2) == []


@pytest.mark.parametrize(
    "wanted", [None, "linux-x86_64-1", {"a": 1}, [1], [("a",)], [(b"a", b"b")]]
)
def test_a_list_of_builders_is_a_list(wanted: object) -> None:
    with pytest.raises(orders.Refused):
        orders.builders(wanted, platform=PLATFORM, slots=2)

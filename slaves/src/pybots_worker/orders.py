"""What a master may ask of this worker, and nothing else. Pure: no sockets, no files.

A master is not trusted: builder names have one closed form, the only command is `pybots`, its arguments are a Job and
the name of one of its phases, and a Job that names files of this machine is refused unless the owner allowed it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pybots_worker.contract import (
    ContractError,
    GitSource,
    InterpreterWork,
    Job,
    Phase,
    SdistSource,
    decode_job,
)

COMMAND: Final = "pybots"
COMMAND_VERSION: Final = "1"
MAX_BUILDERS: Final = 1000
"""More names than this in one list are not looked at."""

_BUILDER: Final = re.compile(r"([a-z0-9]+-[a-z0-9_]+)-([1-9][0-9]?)")


class Refused(ValueError):
    """The master asked for something this worker doesn't do; the text says what."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """One phase of a Job to run. `data` is the Job as it was sent, to compare later phases with."""

    job: Job
    phase: Phase
    data: str

    @property
    def folder(self) -> str:
        """The name of the job's folder: `<run>-<attempt>`."""
        return f"{self.job.run}-{self.job.attempt}"


def split_builder(name: str) -> tuple[str, int] | None:
    """Platform and slot of a builder's name; None when it hasn't the closed form.

    >>> split_builder("linux-x86_64-2")
    ('linux-x86_64', 2)
    """
    found = _BUILDER.fullmatch(name)
    return (found[1], int(found[2])) if found else None


def builders(wanted: object, *, platform: str, slots: int) -> list[str]:
    """The names out of the master's list of (name, folder) that are slots of this worker; folders are ignored."""
    if not isinstance(wanted, Sequence) or isinstance(wanted, (str, bytes)):
        raise Refused("a list of builders is a list")
    names = [_name(item) for item in list(wanted)[:MAX_BUILDERS]]
    return [name for name in names if _is_ours(name, platform, slots)]


def _name(item: object) -> str:
    if isinstance(item, Sequence) and len(item) == 2 and isinstance(item[0], str):
        return item[0]
    raise Refused("a builder is a name and a folder")


def _is_ours(name: str, platform: str, slots: int) -> bool:
    found = split_builder(name)
    return found is not None and found[0] == platform and found[1] <= slots


def read(command: object, arguments: object, *, local: bool) -> Order:
    """The order in a command of the master. `local`: Jobs may name files of this machine. Raises Refused."""
    if command != COMMAND:
        raise Refused(f"this worker knows one command, {COMMAND!r}")
    if not isinstance(arguments, Mapping) or set(arguments) != {"job", "phase"}:
        raise Refused("the arguments are a job and a phase, nothing else")
    data, phase = arguments["job"], arguments["phase"]
    if not isinstance(data, str) or not isinstance(phase, str):
        raise Refused("job and phase are texts")
    try:
        job = decode_job(data)
    except ContractError as error:
        raise Refused(str(error)) from error
    if not local:
        _refuse_local(job)
    return Order(job=job, phase=_phase(job, phase), data=data)


def _phase(job: Job, name: str) -> Phase:
    for phase in job.phases:
        if phase == name:
            return phase
    raise Refused(f"a job of this kind has the phases {', '.join(job.phases)}")


def _refuse_local(job: Job) -> None:
    for address in addresses(job):
        scheme = address.partition(":")[0]
        # ssh would act with the owner's keys: no master decides about them.
        if scheme in ("file", "ssh"):
            raise Refused(f"a job from a master may not name {scheme} addresses")


def addresses(job: Job) -> Iterator[str]:
    """Every address a Job makes this machine read from or write to."""
    yield job.report.url
    work = job.work
    if isinstance(work, InterpreterWork):
        yield from (work.source.url, work.artifact.url)
        return
    yield work.interpreter.blob.url
    match work.source:
        case GitSource(url=url):
            yield url
        case SdistSource(blob=blob):
            yield blob.url

"""The steps of every build: open the attempt, then one step for each phase of its Job.

The ledger knows the truth; a build is only how it gets done. A build whose attempt has ended already (Buildbot
requeues what it lost) finds that out in its first step and ends quietly. What goes wrong here in any other way is
caught by the dispatcher: a build that ended without a report is a lost attempt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from buildbot.process.buildstep import BuildStep
from buildbot.process.results import CANCELLED, FAILURE, SKIPPED, SUCCESS
from buildbot.util.twisted import async_to_deferred
from twisted.internet import task

from pybots.farm import dispatch, record
from pybots.farm.git import GitError
from pybots.farm.jobs import JobError
from pybots.farm.losses import SILENT
from pybots.farm.phases import Note
from pybots.farm.tokens import TokenError
from pybots.glue import service, slots
from pybots.glue.notes import Notes
from pybots.glue.remote import MAX_JOB_CHARS, PhaseCommand
from pybots.glue.tail import Tail
from pybots.store import StoreError
from pybots_worker import contract

SILENT_SECONDS: Final = 90.0
"""Workers send a heartbeat every 20 seconds; one that is silent for this long is frozen or cut off."""
GRACE_SECONDS: Final = 120.0
"""How much longer than its wall limit a phase may take before the worker is given up."""
CHECK_SECONDS: Final = 5.0


@dataclass(repr=False)
class Attempt:
    """What the steps of one build share. `data` is the Job as JSON."""

    id: int
    job: contract.Job
    data: str
    notes: Notes
    failed: bool = False

    def __repr__(self) -> str:
        """Short, and without the tokens: Buildbot logs the steps it runs."""
        return f"<attempt {self.id}>"


class OpenAttempt(BuildStep):
    """Gets the Job from the farm and adds its phases as steps."""

    name = "job"

    @async_to_deferred
    async def run(self) -> int:
        attempt_id = self.getProperty(slots.ATTEMPT)
        if not isinstance(attempt_id, int):
            return self._quietly("not one of the farm's builds")
        here = service.of(self.master)
        here.dispatcher.begun(attempt_id)
        url = await self.build.getUrl()
        try:
            job = await here.desk.call(dispatch.start_attempt, here.desk.farm, attempt_id, url)
        except (GitError, StoreError, JobError, TokenError) as error:
            return await self._impossible(attempt_id, str(error))
        if job is None:
            return self._quietly("this attempt has ended already")
        data = contract.encode(job).decode()
        if len(data) > MAX_JOB_CHARS:
            return await self._impossible(attempt_id, f"the job is too long: {len(data)}")
        attempt = Attempt(id=attempt_id, job=job, data=data, notes=Notes(here.desk, attempt_id))
        self.build.addStepsAfterCurrentStep(
            [PhaseStep(attempt=attempt, phase=phase) for phase in job.phases]
        )
        return SUCCESS

    def _quietly(self, why: str) -> int:
        self.descriptionDone = [why]
        return SKIPPED

    async def _impossible(self, attempt_id: int, why: str) -> int:
        here = service.of(self.master)
        await here.desk.call(dispatch.attempt_lost, here.desk.farm, attempt_id, why)
        await self.addCompleteLog("reason", why)
        return FAILURE


class PhaseStep(BuildStep):
    """Runs one phase on the worker. After a phase that failed only `report` runs."""

    haltOnFailure = False
    flunkOnFailure = True

    def __init__(self, attempt: Attempt, phase: contract.Phase, **arguments: Any) -> None:
        super().__init__(name=phase, **arguments)
        self._attempt, self._phase = attempt, phase

    @async_to_deferred
    async def run(self) -> int:
        if self._attempt.failed and self._phase != "report":
            return SKIPPED
        command = await self._command()
        self._attempt.failed = not (command.result and command.result.ok)
        if self._phase == "report":
            await self._record(command)
        if command.interrupted:
            return CANCELLED
        return FAILURE if self._attempt.failed else SUCCESS

    async def _command(self) -> PhaseCommand:
        """The phase's remote command, ended. Raises ConnectionLost, which Buildbot makes a RETRY."""
        desk = service.of(self.master).desk
        farm, limits = desk.farm, self._attempt.job.limits[self._phase]
        tail = Tail(desk, farm.store.live(self._attempt.id, self._phase), limits.log_bytes)
        stdio = await self.addLog("stdio")
        command = PhaseCommand(desk.reactor, self._attempt.data, self._phase, tail, stdio)
        notes = self._attempt.notes
        notes.add(Note(phase=self._phase, at=farm.clock()))
        watch = task.LoopingCall(self._watch, command, desk.reactor.seconds() + limits.wall_seconds)
        watch.clock = desk.reactor
        watch.start(CHECK_SECONDS, now=False)
        try:
            await self.runCommand(command)
        finally:
            if watch.running:
                watch.stop()
            notes.add(
                Note(
                    phase=self._phase,
                    at=farm.clock(),
                    over=True,
                    result=command.result,
                    cut=tail.cut or bool(command.result and command.result.log_cut),
                )
            )
            if self._phase == "report" or command.result is None:
                await notes.written()
        return command

    def _watch(self, command: PhaseCommand, deadline: float) -> Any:
        now = self.master.reactor.seconds()
        if now - command.heard > SILENT_SECONDS:
            return self._give_up(f"{SILENT} for {now - command.heard:.0f} s")
        if now > deadline + GRACE_SECONDS:
            return self._give_up(f"{self._phase} went on long after its limit")
        return None

    @async_to_deferred
    async def _give_up(self, reason: str) -> None:
        """The reason is recorded before the connection goes, which ends the build."""
        here = service.of(self.master)
        await here.desk.call(dispatch.attempt_lost, here.desk.farm, self._attempt.id, reason)
        here.hang_up(self.build.getWorkerName(), reason)

    async def _record(self, command: PhaseCommand) -> None:
        here = service.of(self.master)
        desk = here.desk
        if self._attempt.failed:
            stopping = self.master.botmaster.shuttingDown
            await desk.call(
                dispatch.attempt_lost, desk.farm, self._attempt.id, _why(command),
                counts=not stopping,
            )  # fmt: skip
            return
        try:
            await desk.call(record.record_report, desk.farm, self._attempt.id, command.report)
        except (record.RecordError, StoreError) as error:
            self._attempt.failed = True
            await self.addCompleteLog("refused", str(error))
            await desk.call(dispatch.attempt_lost, desk.farm, self._attempt.id, str(error))
            return
        here.recorded()


def _why(command: PhaseCommand) -> str:
    """Why there is no report, in the worker's own words if it had any."""
    failure = command.result.failure if command.result else None
    message = failure.message if failure else "the worker said nothing"
    return f"the report did not arrive: {message[:1500]}"

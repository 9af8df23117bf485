"""Job and Report: the JSON that crosses the wire between a farm and its workers.

Both are versioned and closed: an unknown key, a missing one or a value out of bounds is refused, whichever side sent
it. Version N and N-1 are accepted (there is only version 1 so far). Everything in a Report was said by a volunteer's
machine and is hostile data: the bounds here keep it small, `core` and the pages keep it harmless.

Units: seconds are floats, sizes are bytes, times are seconds since the epoch in UTC, digests are lower-case sha256.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta, Struct

VERSION: Final = 1
"""The contract's version; `job.contract` and `report.contract` carry it."""

MAX_JOB_BYTES: Final = 1 << 20
MAX_REPORT_BYTES: Final = 64 << 20

# Where things lie inside the sandbox: the same for every worker and job, because ccache keys and sysconfig contain them.
PREFIX: Final = "/opt/pybots/python"
BUILD_ROOT: Final = "/pybots"

# (?!\n): Python's $ also matches before a newline at the end. [\s\S]: its dot leaves newlines out.
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}(?!\n)$")]
GitSha = Annotated[str, Meta(pattern=r"^[0-9a-f]{40}(?!\n)$")]
Slug = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,79}(?!\n)$")]
Token = Annotated[str, Meta(min_length=1, max_length=1024)]
Url = Annotated[str, Meta(pattern=r"^(https?|file)://[^\s]+(?!\n)$", max_length=2000)]
# Neither a backslash nor a colon: where they part folders and drives, such a path could lead out.
RelPath = Annotated[
    str, Meta(pattern=r"^(?!/)(?![\s\S]*(^|/)\.\.(/|$))[^\x00\\:]*$", max_length=500)
]
Line = Annotated[str, Meta(max_length=4000)]
Text = Annotated[str, Meta(max_length=20_000)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Positive = Annotated[int, Meta(ge=1, le=2**53)]
Seconds = Annotated[float, Meta(ge=0, le=10_000_000)]
Epoch = Annotated[float, Meta(ge=0, le=32_503_680_000)]

Purpose = Literal["routine", "retry", "control", "probe"]
Runner = Literal["pytest", "unittest", "trial", "django", "regrtest", "tox", "nox", "command"]
Network = Literal["none", "install", "always"]
Service = Literal["mariadb", "postgresql"]
Library = Literal[
    "cairo",
    "enchant",
    "expat",
    "freetype",
    "gmp",
    "libcurl",
    "libev",
    "libffi",
    "libjpeg",
    "libmariadb",
    "libpq",
    "libsodium",
    "libuv",
    "libxml2",
    "libxslt",
    "libyaml",
    "mpfr",
    "openblas",
    "openssl",
    "sqlite3",
    "tiff",
    "zeromq",
    "zlib",
    "zstd",
]
"""A system library that workers look for."""
Outcome = Literal[
    "passed", "failed", "error", "skipped", "xfailed", "xpassed", "crashed", "timed_out", "not_run"
]
BAD_OUTCOMES: Final = frozenset({"failed", "error", "crashed", "timed_out", "not_run", "xpassed"})
"""Outcomes that are not good. `xpassed` stands here only when the runner itself counts it as a failure (strict)."""

Ended = Literal[
    "exit",
    "signal",
    "wall_timeout",
    "cpu_timeout",
    "memory",
    "processes",
    "disk",
    "log",
    "cancelled",
    "sandbox_error",
    "farm_error",
]
"""How a phase ended. `exit` and `signal` are the job's own doing, the limits name what was exceeded; `sandbox_error`
and `farm_error` (download, upload, disk of the worker) are the farm's fault and never a project's."""

Phase = Literal[
    "interpreter", "source", "configure", "compile", "install", "test", "publish", "report"
]
INTERPRETER_PHASES: Final[tuple[Phase, ...]] = (
    "source",
    "configure",
    "compile",
    "install",
    "publish",
    "report",
)
PROJECT_PHASES: Final[tuple[Phase, ...]] = ("interpreter", "source", "install", "test", "report")


class _Wire(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class Limits(_Wire, frozen=True):
    """Caps of one phase, over its whole process tree."""

    wall_seconds: Annotated[float, Meta(gt=0, le=1_000_000)]
    cpu_seconds: Annotated[float, Meta(gt=0, le=10_000_000)]
    memory_bytes: Positive
    processes: Positive
    disk_bytes: Positive
    log_bytes: Positive


class Blob(_Wire, frozen=True):
    """Something to download: bounded and verified by the receiver. `file://` is taken from a local caller only."""

    url: Url
    sha256: Sha256
    size: Count


class Upload(_Wire, frozen=True):
    """Where to PUT a result. The token speaks for one run, attempt and kind, and expires."""

    url: Url
    token: Token
    max_bytes: Positive


class Recipe(_Wire, frozen=True):
    """How CPython is configured and compiled. Data, so that flavours compose and keys can be derived."""

    configure: tuple[Line, ...] = ()
    cflags: Line = ""
    ensurepip: bool = True
    bytecode: bool = True
    ccache: bool = True


class InterpreterWork(_Wire, frozen=True, tag="interpreter", tag_field="kind"):
    """Build one interpreter: unpack, configure, make, make install, publish.

    `plain`: `make install` just as it stands; otherwise it leaves out pip and the byte-code that no project's run reads.
    No part of the key: the interpreter is the same."""

    key: Sha256
    commit: GitSha
    branch: Line
    flavour: Slug
    source: Blob
    recipe: Recipe
    artifact: Upload
    plain: bool = True


class InterpreterRef(_Wire, frozen=True):
    """A published interpreter, to be mounted at PREFIX."""

    key: Sha256
    commit: GitSha
    branch: Line
    flavour: Slug
    blob: Blob


class SdistSource(_Wire, frozen=True, tag="sdist", tag_field="kind"):
    """A release: an archive of the package index (tar.gz, tar.bz2, tar.xz, tar.zst or zip)."""

    name: Line
    version: Line
    blob: Blob


class GitSource(_Wire, frozen=True, tag="git", tag_field="kind"):
    """A commit of a git repository, fetched with depth 1. Submodules are fetched when `submodules` is true."""

    url: Annotated[str, Meta(pattern=r"^(https?|git|ssh|file)://[^\s]+(?!\n)$", max_length=2000)]
    commit: GitSha
    ref: Line = ""
    submodules: bool = False


class OwnSource(_Wire, frozen=True, tag="own", tag_field="kind"):
    """The interpreter itself: its tests are installed with it, so there is nothing to fetch."""


ProjectSource = SdistSource | GitSource | OwnSource


class Locked(_Wire, frozen=True):
    """One installed distribution, as it was found in the environment after installing."""

    name: Line
    version: Line


class Install(_Wire, frozen=True):
    """How the project gets into its environment. `lock` pins everything (a control re-uses a run's lock)."""

    project: bool = True
    path: RelPath = "."
    extras: tuple[Line, ...] = ()
    groups: tuple[Line, ...] = ()
    requirements: tuple[Line, ...] = ()
    requirement_files: tuple[RelPath, ...] = ()
    editable: bool = False
    build_isolation: bool = True
    as_of: Annotated[str, Meta(pattern=r"^$|^\d{4}-\d{2}-\d{2}([T ].*)?$", max_length=40)] = ""
    lock: tuple[Locked, ...] = ()
    commands: tuple[tuple[Line, ...], ...] = ()


class Test(_Wire, frozen=True):
    """How the tests run. `args` belong to the runner; `only` restricts the run to these test ids (control, probe).

    What fails is tried again alone, at most `retries` times, and then once in order (0: not at all)."""

    runner: Runner
    args: tuple[Line, ...] = ()
    directory: RelPath = "."
    results: RelPath = ""
    retries: Annotated[int, Meta(ge=0, le=5)] = 3
    only: tuple[Text, ...] = ()


class ProjectWork(_Wire, frozen=True, tag="project", tag_field="kind"):
    """Run one project's own tests on one interpreter."""

    project: Slug
    revision: Line
    interpreter: InterpreterRef
    source: ProjectSource
    install: Install
    test: Test
    env: dict[str, Line] = {}
    network: Network = "install"
    modules: tuple[Line, ...] = ()
    """Import names whose compiled extension modules are listed in the report; empty: all that the project installed."""
    services: tuple[Service, ...] = ()
    """Servers of its own that the tests find on a socket."""


class Job(_Wire, frozen=True):
    """What a worker is asked to do. One attempt of one run."""

    contract: Annotated[int, Meta(ge=1, le=VERSION)]
    run: Positive
    attempt: Positive
    purpose: Purpose
    work: InterpreterWork | ProjectWork
    limits: dict[Phase, Limits]
    report: Upload

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases of this kind of work, in order."""
        return INTERPRETER_PHASES if isinstance(self.work, InterpreterWork) else PROJECT_PHASES


class Failure(_Wire, frozen=True):
    """Why something failed, in the failing program's own words (bounded; the tail is kept)."""

    type: Line = ""
    message: Text = ""
    detail: Text = ""


class PhaseResult(_Wire, frozen=True):
    """What one phase came to. `ok` says whether the next phase may start."""

    phase: Phase
    ok: bool
    ended: Ended
    wall_seconds: Seconds
    cpu_seconds: Seconds = 0.0
    exit_code: Annotated[int, Meta(ge=-255, le=255)] | None = None
    signal: Annotated[int, Meta(ge=1, le=128)] | None = None
    peak_memory_bytes: Count | None = None
    log_bytes: Count = 0
    log_cut: bool = False
    failure: Failure | None = None


class TestOutcome(_Wire, frozen=True):
    """One test, by a stable id. `retried` lists the outcomes of the retries in the same build, as they came: alone first,
    then among its predecessors. The last one has the last word."""

    id: Annotated[str, Meta(min_length=1, max_length=20_000)]
    outcome: Outcome
    seconds: Seconds = 0.0
    failure: Failure | None = None
    reason: Line = ""
    retried: tuple[Outcome, ...] = ()


class Environment(_Wire, frozen=True):
    """The machine as it was: facts the worker measured itself, and the sandbox that held the job."""

    worker: Line
    platform: Slug
    abi: Slug
    system: Line = ""
    cores: Positive = 1
    memory_bytes: Count = 0
    compiler: Line = ""
    kit: Line = ""
    sandbox: Line = ""
    rung: Line = ""
    caps: dict[str, Line] = {}


class Artifact(_Wire, frozen=True):
    """A published interpreter: a zstd-compressed tar of PREFIX, uploaded before the report is."""

    sha256: Sha256
    size: Count


class Report(_Wire, frozen=True):
    """What an attempt found. It can speak only for the attempt its token was made for."""

    contract: Annotated[int, Meta(ge=1, le=VERSION)]
    run: Positive
    attempt: Positive
    kind: Literal["interpreter", "project"]
    started: Epoch
    finished: Epoch
    environment: Environment
    phases: Annotated[tuple[PhaseResult, ...], Meta(max_length=16)]
    tests: Annotated[tuple[TestOutcome, ...], Meta(max_length=500_000)] = ()
    modules: Annotated[tuple[Line, ...], Meta(max_length=20_000)] = ()
    lock: Annotated[tuple[Locked, ...], Meta(max_length=5_000)] = ()
    python: Line = ""
    artifact: Artifact | None = None


class ContractError(ValueError):
    """A Job or Report that does not fit the contract; the text names the place (`$.work.source.sha256`)."""


_job_decoder: Final = msgspec.json.Decoder(Job)
_report_decoder: Final = msgspec.json.Decoder(Report)


def decode_job(data: bytes | str) -> Job:
    """A Job from JSON. Raises ContractError, naming the place, for anything that is not one."""
    if len(data) > MAX_JOB_BYTES:
        raise ContractError(f"a Job may have {MAX_JOB_BYTES} bytes, this one has {len(data)}")
    try:
        job = _job_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ContractError(f"not a Job: {error}") from error
    missing = [phase for phase in job.phases if phase not in job.limits]
    if missing:
        raise ContractError(f"not a Job: no limits for {', '.join(missing)} - at `$.limits`")
    return job


def decode_report(data: bytes) -> Report:
    """A Report from JSON. Raises ContractError, naming the place, for anything that is not one."""
    if len(data) > MAX_REPORT_BYTES:
        raise ContractError(f"a Report may have {MAX_REPORT_BYTES} bytes, this one has {len(data)}")
    try:
        return _report_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ContractError(f"not a Report: {error}") from error


def encode(message: Job | Report) -> bytes:
    """The message as JSON with a fixed key order, so that equal messages have equal digests."""
    return msgspec.json.encode(message)


def digest(data: bytes) -> str:
    """The name of a blob: its sha256 in lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def schema(of: type[Job] | type[Report]) -> dict[str, Any]:
    """The JSON schema of Job or Report, as kept in tests/unit/golden and given to other implementers."""
    return msgspec.json.schema(of)


ALL_OUTCOMES: Final[tuple[str, ...]] = get_args(Outcome)
ALL_ENDED: Final[tuple[str, ...]] = get_args(Ended)

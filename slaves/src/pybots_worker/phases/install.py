"""Making the environment: uv venv, uv pip install, the project's own commands, and a look at what came of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uv

from pybots_worker import layout, sandbox
from pybots_worker.contract import PREFIX, Install, Locked, ProjectWork
from pybots_worker.errors import failed
from pybots_worker.phases import asked, own
from pybots_worker.phases.context import Context, kit_mount
from pybots_worker.phases.interpreter import interpreter
from pybots_worker.runners import tools as tool_runners
from pybots_worker.sandbox import Mount, Outcome
from pybots_worker.take import NotTakenError, take

MAX_ANSWER: Final = 32 << 20
RUNNER_NEEDS: Final = {"pytest": "pytest", "trial": "twisted", "tox": "tox", "nox": "nox"}
"""What a runner itself is made of: wanted as well, in whatever version the rest allows."""


def install(context: Context) -> None:
    """The environment at /pybots/venv."""
    work = _work(context)
    with interpreter(context) as prefix, _tools(context, prefix) as tools:
        tools.uv("venv", "--python", layout.PYTHON, "--no-project", layout.VENV)
        _install(context, tools)
        for command in work.install.commands:
            tools.command(*command)
        if work.test.runner in tool_runners.TOOLS:
            tools.command(*tool_runners.making(work.test))
        _look(context, tools)
    context.machine.uv.shrink()


def _install(context: Context, tools: Tools) -> None:
    """The project and what it needs; its own build is kept, or was."""
    install, built = _work(context).install, tools.built
    if built:
        context.say(
            f"the project's build of {built.age / 60:.0f} minutes ago is used: {built.wheel}"
        )
        tools.command("tar", "-xf", f"{layout.OWN}/{own.TREE}", "-C", layout.SOURCE)
    since = _mark(context)
    for arguments in steps(context, install, built):
        tools.pip(*tools.common(), *arguments)
    if tools.online:
        asked.note(context, tools.cache)
    if not built:
        own.keep(context, tools.cache, since)


def _mark(context: Context) -> int:
    """This moment on the clock that the job's files are marked with (ctime, ns)."""
    context.give("mark", "")
    return (context.folder.given / "mark").stat().st_ctime_ns


def steps(context: Context, install: Install, built: own.Own | None = None) -> Iterator[list[str]]:
    """The arguments of each `uv pip install`: one for all, or the requirements first when isolation is off."""
    needs = _needs(context, install)
    if built:
        line = built.requirement(install.extras) + "\n"
        yield [*needs, "--requirement", context.give("own.txt", line)]
        return
    project = [] if _work(context).test.runner in tool_runners.TOOLS else _project(install)
    if install.build_isolation or not (needs and project):
        if needs or project:
            yield [*needs, *project]
        return
    yield needs
    yield ["--no-build-isolation", *needs, *project]


def _needs(context: Context, install: Install) -> list[str]:
    folder = _below(layout.SOURCE, install.path)
    names = [*install.requirements, *_runner_needs(context)]
    files = [f"{layout.SOURCE}/{name}" for name in install.requirement_files]
    if names:
        files.append(context.give("requirements.txt", "\n".join(names) + "\n"))
    return [
        *(word for name in files for word in ("--requirement", name)),
        *(
            word
            for name in install.groups
            for word in ("--group", f"{folder}/pyproject.toml:{name}")
        ),
    ]


def _runner_needs(context: Context) -> list[str]:
    """The runner's own package, where the network can bring it and no project is that package itself."""
    work = _work(context)
    need = RUNNER_NEEDS.get(work.test.runner, "")
    known = {plain_name(word) for word in (*work.install.requirements, work.project)}
    return [need] if need and work.network != "none" and need not in known else []


def _project(install: Install) -> list[str]:
    if not install.project:
        return []
    extras = f"[{','.join(install.extras)}]" if install.extras else ""
    where = _below(layout.SOURCE, install.path) + extras
    return ["--editable", where] if install.editable else [where]


def _below(folder: str, path: str) -> str:
    return folder if path in ("", ".") else f"{folder}/{path}"


def plain_name(requirement: str) -> str:
    """The normalised name at the head of a requirement.

    >>> plain_name("PyTest-xdist[psutil]>=3; python_version>'3.8'")
    'pytest-xdist'
    """
    found = re.match(r"[A-Za-z0-9._-]*", requirement.strip())
    return re.sub(r"[-_.]+", "-", found[0] if found else "").lower()


@dataclass(frozen=True, kw_only=True)
class Tools:
    """uv and the project's commands, with what they see and may reach."""

    context: Context
    mounts: tuple[Mount, ...]
    env: Mapping[str, str]
    room: int
    cache: Path
    built: own.Own | None

    @property
    def online(self) -> bool:
        return _online(self.context)

    def pip(self, *words: str) -> None:
        """`uv pip install`; first of what is here, where the index has answered the same a moment ago."""
        install = (layout.UV, "pip", "install")
        if self.online and asked.lately(self.context, self.cache):
            outcome = self._try(*install, "--offline", *words)
            if outcome.ended != "exit":
                raise self.context.failure(install, outcome)
            if outcome.exit_code == 0:
                return
            self.context.say("not everything is here: asking the index")
        self._run(*install, *words)

    def uv(self, *words: str) -> None:
        self._run(layout.UV, *words)

    def command(self, *argv: str) -> None:
        self._run(*argv)

    def python(self, *argv: str, venv: str = layout.VENV) -> None:
        self._run(f"{venv}/bin/python", *argv)

    def _run(self, *argv: str) -> None:
        outcome = self._try(*argv)
        if outcome.ended != "exit" or outcome.exit_code != 0:
            raise self.context.failure(argv, outcome)

    def _try(self, *argv: str) -> Outcome:
        return self.context.run(
            *argv,
            cwd=layout.SOURCE,
            env=self.env,
            mounts=self.mounts,
            path=(f"{layout.VENV}/bin",),
            network=self.online,
            room=self.room,
        )

    def common(self) -> list[str]:
        """Options of every installation."""
        install = _work(self.context).install
        # What [tool.uv.sources] points at (forks, neighbouring folders) is for its developers; users get what the index has.
        words = ["--python", f"{layout.VENV}/bin/python", "--no-sources"]
        if install.as_of:
            words += ["--exclude-newer", install.as_of]
        if install.lock:
            lines = "".join(f"{pin.name}=={pin.version}\n" for pin in install.lock)
            words += ["--constraint", self.context.give("constraints.txt", lines)]
        return words


@contextmanager
def _tools(context: Context, prefix: Path) -> Iterator[Tools]:
    machine, work = context.machine, _work(context)
    probe = context.job.purpose == "probe"
    with machine.uv.lease(work.project, work.interpreter.key, keep=probe) as cache:
        if cache.stat().st_uid != sandbox.job_ids()[0]:
            sandbox.own(cache)
        reach = machine.reach
        online = _online(context)
        built = own.find(context, cache)
        yield Tools(
            context=context,
            mounts=(
                Mount(source=prefix, target=PREFIX),
                Mount(source=Path(uv.find_uv_bin()), target=layout.UV),
                Mount(source=cache, target=layout.UV_CACHE, writable=True),
                kit_mount(),
                *((built.mount,) if built else ()),
                *(reach.mounts if online else ()),
            ),
            env={
                **environment(work),
                **(reach.env if online else {"UV_OFFLINE": "1"}),
                "UV_CACHE_DIR": layout.UV_CACHE,
                "UV_LINK_MODE": "copy",  # the cache is another mount: links cannot reach across
                "UV_PYTHON_DOWNLOADS": "never",
                "UV_NO_PROGRESS": "1",
            },
            room=machine.uv.size(cache),
            cache=cache,
            built=built,
        )


def environment(work: ProjectWork) -> dict[str, str]:
    """What the project's commands and tests find set."""
    return {**work.env, "VIRTUAL_ENV": layout.VENV}


def _online(context: Context) -> bool:
    return _work(context).network != "none"


def _look(context: Context, tools: Tools) -> None:
    """Write down what is installed now."""
    answer = f"{layout.RESULTS}/installed.json"
    script = f"{layout.KIT}/pybots_installed.py"
    venv = layout.VENV
    if _work(context).test.runner in tool_runners.TOOLS:
        venv = _of_tool(context)
    tools.python(
        "-I", script, answer, f"{layout.SOURCE}:{layout.OWN}", *_work(context).modules, venv=venv
    )
    try:
        said = json.loads(take(context.folder.work, context.folder.outside(answer), MAX_ANSWER))
        context.found.lock = tuple(sorted(_locked(said["lock"]), key=lambda pin: pin.name))
        context.found.modules = tuple(str(name)[:4000] for name in said["modules"][:20_000])
    except (FileNotFoundError, NotTakenError, ValueError, KeyError, TypeError) as error:
        raise failed("NoAnswer", f"the environment cannot be read: {error!r}") from error


def _of_tool(context: Context) -> str:
    """The environment that tox or nox made. One on another Python would answer for nothing."""
    folder = context.folder.outside(tool_runners.FOLDER)
    wanted = tool_runners.environment(_work(context).test)
    found = sorted(folder.glob("*/pyvenv.cfg")) if not folder.is_symlink() else []
    path = next((path for path in found if path.parent.name in (wanted, wanted.lower())), None)
    if path is None and len(found) != 1:
        raise failed("NoEnvironment", f"no environment {wanted} was made, but {len(found)} others")
    path = path or found[0]
    ours = _home(context, context.folder.outside(layout.VENV) / "pyvenv.cfg")
    theirs = _home(context, path)
    if theirs not in (ours, f"{layout.VENV}/bin"):
        raise failed("OtherPython", f"{path.parent.name} was made with the Python in {theirs}")
    return f"{tool_runners.FOLDER}/{path.parent.name}"


def _home(context: Context, path: Path) -> str:
    text = take(context.folder.work, path, 1 << 16).decode("utf-8", "replace")
    found = re.search(r"^home *= *(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else ""


def _locked(pairs: Iterable[Any]) -> Iterator[Locked]:
    for name, version in list(pairs)[:5000]:
        yield Locked(name=str(name)[:4000], version=str(version)[:4000])


def _work(context: Context) -> ProjectWork:
    assert isinstance(context.job.work, ProjectWork)
    return context.job.work

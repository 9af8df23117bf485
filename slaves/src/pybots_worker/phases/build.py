"""Building an interpreter: make, make install, publish. What comes before is `phases/configure.py`."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from pybots_worker import archive, facts, fetch, layout, objects, sandbox
from pybots_worker.contract import PREFIX, Artifact, InterpreterWork
from pybots_worker.errors import FarmTrouble, failed
from pybots_worker.phases.context import Context, kit_mount
from pybots_worker.sandbox import Mount
from pybots_worker.take import NotTakenError, take

COPIES: Final = "/pybots/copies"
LIST_COPIES: Final = f"INSTALL_DATA=>>{COPIES} printf 'COPY\\t%s\\t%s\\n'"
"""A built-in of the shell in place of install(1): 4,000 processes less; `pybots_copies` copies what it lists."""


def compile_(context: Context) -> None:
    """`make`. A probe's compiler says itself which headers it read, where ccache would preprocess once more to find out."""
    told = () if work_of(context).recipe.bytecode else ("EXTRA_CFLAGS=-MD",)
    command(context, "make", f"-j{context.machine.jobs}", *told)


def install(context: Context) -> None:
    """`make install` into PREFIX."""
    context.folder.prefix.mkdir()
    sandbox.own(context.folder.prefix)
    work = work_of(context)
    if work.plain and work.recipe.bytecode:
        command(context, "make", "install", writable=True)
        _share(context, work)
        return
    # compileall prints its help and compiles nothing; the Makefile ignores how it ends.
    options = ("COMPILEALL_OPTS=--help", "ENSUREPIP=no", LIST_COPIES)
    command(context, "make", "install", *options, writable=True)
    script = f"{layout.KIT}/pybots_copies.py"
    command(context, "./python", "-E", "-S", "-B", script, COPIES, writable=True)
    if work.recipe.bytecode:
        script = f"{layout.KIT}/pybots_bytecode.py"
        command(context, layout.PYTHON, "-I", "-B", script, writable=True)
    _share(context, work)


def _share(context: Context, work: InterpreterWork) -> None:
    """It was built whole: later builds may have what it compiled."""
    if not _cached(work):
        return
    machine, added = context.machine, context.folder.outside(layout.OBJECTS)
    shared = objects.today(machine.ccache)
    objects.take_over(
        context.folder.work, added, shared, machine.ccache_bytes, replace=_anew(context, work)
    )


def _cached(work: InterpreterWork) -> bool:
    return work.recipe.ccache and facts.MASQUERADE.is_dir()


def _anew(context: Context, work: InterpreterWork) -> bool:
    """The farm's plain build of the day believes no earlier one, and puts right what it finds planted or broken."""
    return work.plain and work.recipe.bytecode and context.job.purpose == "routine"


def command(
    context: Context, *argv: str, configuring: bool = False, writable: bool = False
) -> None:
    """A command of the build, in the tree, with ccache in front of the compiler where there is one."""
    machine, work = context.machine, work_of(context)
    recipe = work.recipe
    env = {"CONFIG_SITE": f"{layout.GIVEN}/config.site"}
    if (Path("/usr/bin") / "gcc").exists():
        env |= {"CC": "gcc"}
    if configuring and recipe.cflags:
        env["CFLAGS"] = recipe.cflags
    mounts: list[Mount] = [kit_mount()]
    path: tuple[str, ...] = ()
    if _cached(work):
        path = (str(facts.MASQUERADE),)
        shared = not _anew(context, work)
        if shared:
            mounts.append(Mount(source=objects.today(machine.ccache), target=layout.CCACHE))
        env |= objects.environment(shared=shared) | {
            "CCACHE_BASEDIR": layout.CPYTHON,
            # A fresh tree's headers are all "too new" else, and nothing is found without preprocessing.
            "CCACHE_SLOPPINESS": "include_file_mtime,include_file_ctime",
        }
        if not recipe.bytecode:
            env |= {"CCACHE_DEPEND": "1"}  # where -MD is given: a tenth of the time of a miss
    if writable:
        mounts.append(Mount(source=context.folder.prefix, target=PREFIX, writable=True))
    context.must(*argv, cwd=layout.CPYTHON, env=env, mounts=tuple(mounts), path=path)


def publish(context: Context) -> None:
    """Try the interpreter, pack it, upload it, and keep it for this worker's own jobs."""
    prefix, packed = context.folder.prefix, context.folder.root / "interpreter.tar.zst"
    try:
        with ThreadPoolExecutor(max_workers=1) as other:
            packing = other.submit(archive.pack, prefix, packed, check=context.check)
            look_at_interpreter(context, prefix, modules=True)  # which can't write there
            packing.result()
        context.say(f"uploading {packed.stat().st_size} bytes")
        sent = fetch.upload(packed, work_of(context).artifact, local=context.machine.settings.local)
    except fetch.FetchError as error:
        raise FarmTrouble("Upload", str(error)) from error
    context.found.artifact = Artifact(sha256=sent.sha256, size=sent.size)
    context.machine.interpreters.adopt(sent.sha256, context.folder.prefix)


def look_at_interpreter(context: Context, prefix: Path, *, modules: bool = False) -> None:
    """Run it: its version, and with `modules` the standard library's extension modules that can be imported."""
    answer = f"{layout.RESULTS}/interpreter.json"
    context.must(
        layout.PYTHON,
        "-I",
        f"{layout.KIT}/pybots_interpreter.py",
        answer,
        *(("modules",) if modules else ()),
        mounts=(kit_mount(), Mount(source=prefix, target=PREFIX)),
    )
    try:
        said = json.loads(take(context.folder.work, context.folder.outside(answer), 1 << 20))
        context.found.python = str(said["version"])[:4000]
        context.found.modules = tuple(sorted(str(name)[:4000] for name in said["modules"]))
        lost = [str(name) for name in said["lost"]]
    except (FileNotFoundError, NotTakenError, ValueError, KeyError, TypeError) as error:
        raise failed("NoAnswer", f"the interpreter does not work: {error!r}") from error
    if lost:
        context.say(f"built, but cannot be imported: {', '.join(lost)}")


def work_of(context: Context) -> InterpreterWork:
    assert isinstance(context.job.work, InterpreterWork)
    return context.job.work

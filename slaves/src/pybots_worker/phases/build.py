"""Building an interpreter: configure, make, make install, publish."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from pybots_worker import archive, facts, fetch, layout, objects, sandbox
from pybots_worker.contract import PREFIX, Artifact, InterpreterWork
from pybots_worker.errors import FarmTrouble, failed
from pybots_worker.phases.context import Context, kit_mount
from pybots_worker.sandbox import Mount
from pybots_worker.take import NotTakenError, take

CACHE_FILE: Final = "/pybots/config.cache"
SITE: Final = f"""\
test -r {layout.GIVEN}/config.cache && cp {layout.GIVEN}/config.cache {CACHE_FILE}
cache_file={CACHE_FILE}
"""
"""A site file (configure sources it) and not -C: options are recorded in sysconfig, where this must not show."""
MAX_CONFIGURE: Final = 8 << 20
CONFIGURED: Final = "/pybots/configured.tar"
MAX_CONFIGURED: Final = 32 << 20
UNREAD: Final = (
    "Lib/", "Doc/", "PC/", "PCbuild/", "Grammar/", "Parser/", "Objects/", "m4/", "Mac/BuildScript/", "Tools/msi/",
    "Tools/c-analyzer/", "Tools/peg_generator/", ".github/", "configure.ac", "aclocal.m4", "LICENSE", ".travis.yml",
    ".gitignore", ".gitattributes", ".editorconfig",
)  # fmt: skip
"""Folders and files that configure never looks at. Of 4,000 commits 158 change anything else that is no code (with the
grammar and what configure itself is made from it were 275)."""
CODE: Final = (".c", ".h", ".py", ".rst", ".txt", ".S")
READ: Final = ("Include/patchlevel.h", "Misc/platform_triplet.c")
"""Code that configure does read."""
RUN: Final = ("config.guess", "config.sub", "install-sh", "Modules/makesetup", *READ)
"""What configure runs beside itself, and the code it reads: whoever changes these could answer in its name, and the answers
would be believed by later commits. (Of 4,000 commits 46 change configure, and 266 anything that it reads.)"""
UNPACK: Final = """\
tar -xf "$1" && tar -tf "$1" | tr '\\n' '\\0' | xargs -0 touch -c -d "@$(date +%s)"
"""
"""All of one time: make would else see that one of them is older than another and configure again."""
PACK: Final = """\
find . -newer "$1" \\( ! -type d -o -empty \\) -print > "$2.list" && tar -cf "$2" --no-recursion -T "$2.list"
"""
QUIET: Final = "s#[$](DESTDIR)[$](LIBDEST)/compileall[.]py#--help#"
"""The Makefiles of Python 3.10 and older compile byte-code by naming the script; they ignore how it ends."""
COPIES: Final = "/pybots/copies"
LIST_COPIES: Final = f"INSTALL_DATA=>>{COPIES} printf 'COPY\\t%s\\t%s\\n'"
"""A built-in of the shell in place of install(1): 4,000 processes less; `pybots_copies` copies what it lists."""
PACKAGES: Final = Path("/var/lib/dpkg/status")
"""Changes whenever a system package comes or goes, and with it configure's answers."""


def configure(context: Context) -> None:
    """`./configure`, with the answers of an earlier run of the very same script where nothing changed.

    For a recipe without byte-code, a probe's, all that configure writes is taken from an earlier run on the same input."""
    work = _work(context)
    if work.recipe.bytecode:
        _configure(context, work)
        return
    store = context.machine.configure / f"{_inputs_key(context, work)}.tree"
    if store.is_file():
        context.say("what configure wrote for the same input is reused")
        _build(context, "sh", "-c", UNPACK, "-", context.give("configured.tar", store.read_bytes()))
        return
    mark = context.give("mark", "")
    _configure(context, work)
    _build(context, "sed", "-i", QUIET, "Makefile")
    _build(context, "sh", "-c", PACK, "-", mark, CONFIGURED)
    _keep(context, store, CONFIGURED, MAX_CONFIGURED)


def _configure(context: Context, work: InterpreterWork) -> None:
    store = context.machine.configure / _configure_key(context, work)
    if store.is_file():
        context.say("configure's earlier answers are reused")
        context.give("config.cache", store.read_bytes())
    context.give("config.site", SITE)
    options = [*work.recipe.configure, *([] if work.recipe.ensurepip else ["--with-ensurepip=no"])]
    _build(context, "sh", "./configure", f"--prefix={PREFIX}", *options, configuring=True)
    if not store.is_file():
        _keep(context, store, CACHE_FILE, MAX_CONFIGURE)


def _keep(context: Context, store: Path, inside: str, limit: int) -> None:
    try:
        answers = take(context.folder.work, context.folder.outside(inside), limit)
    except (FileNotFoundError, NotTakenError):
        return  # the miniature's configure keeps none
    part = store.with_name(f".{store.name}.{context.folder.name}")
    part.write_bytes(answers)
    part.replace(store)


def _inputs_key(context: Context, work: InterpreterWork) -> str:
    """Names everything configure may read: the tree but for code, the recipe, this machine."""
    tree = context.folder.outside(layout.CPYTHON)
    digest = hashlib.sha256(_configure_key(context, work).encode())
    for path in sorted(tree.rglob("*")):
        name = path.relative_to(tree).as_posix()
        read = name in READ or not (name.startswith(UNREAD) or name.endswith(CODE))
        if read and path.is_file() and not path.is_symlink():
            digest.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _configure_key(context: Context, work: InterpreterWork) -> str:
    """Names who gives configure's answers: the script, what it runs, the recipe, this machine."""
    ran = [_file_of_tree(context, name) for name in ("configure", *RUN)]
    installed = PACKAGES.stat() if PACKAGES.exists() else None
    parts = [
        *(hashlib.sha256(one).hexdigest() for one in ran),
        msgspec.json.encode(work.recipe).decode(),
        context.machine.facts.abi,
        context.machine.facts.compiler,
        f"{installed.st_mtime_ns} {installed.st_size}" if installed else "",
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _file_of_tree(context: Context, name: str) -> bytes:
    """A plain file of CPython's tree; without one nothing, and what is no plain file is like no other tree's."""
    tree = context.folder.outside(layout.CPYTHON)
    try:
        return take(context.folder.work, tree / name, MAX_CONFIGURE)
    except FileNotFoundError:
        return b""
    except NotTakenError as error:
        if name == "configure":
            raise failed("NoConfigure", str(error)) from error
        return context.folder.name.encode()


def compile_(context: Context) -> None:
    """`make`."""
    _build(context, "make", f"-j{context.machine.jobs}")


def install(context: Context) -> None:
    """`make install` into PREFIX."""
    context.folder.prefix.mkdir()
    sandbox.own(context.folder.prefix)
    work = _work(context)
    if work.plain and work.recipe.bytecode:
        _build(context, "make", "install", writable=True)
        _share(context, work)
        return
    # compileall prints its help and compiles nothing; the Makefile ignores how it ends.
    options = ("COMPILEALL_OPTS=--help", "ENSUREPIP=no", LIST_COPIES)
    _build(context, "make", "install", *options, writable=True)
    script = f"{layout.KIT}/pybots_copies.py"
    _build(context, "./python", "-E", "-S", "-B", script, COPIES, writable=True)
    if work.recipe.bytecode:
        script = f"{layout.KIT}/pybots_bytecode.py"
        _build(context, layout.PYTHON, "-I", "-B", script, writable=True)
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


def _build(context: Context, *argv: str, configuring: bool = False, writable: bool = False) -> None:
    """A command of the build, in the tree, with ccache in front of the compiler where there is one."""
    machine, work = context.machine, _work(context)
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
            env |= {
                "CCACHE_NOCPP2": "1"
            }  # a miss compiles what was preprocessed: a quarter less time
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
        sent = fetch.upload(packed, _work(context).artifact, local=context.machine.settings.local)
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


def _work(context: Context) -> InterpreterWork:
    assert isinstance(context.job.work, InterpreterWork)
    return context.job.work

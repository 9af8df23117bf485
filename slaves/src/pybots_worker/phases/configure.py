"""`./configure`, as seldom as can be: what it answered and wrote is kept for those who would be told the same.

    cache/configure/<key>                              its answers, for the very same script
    cache/configure/<key>.tree                         all that it wrote, for the very same input (probes)
    cache/configure/<day>.<setting>.<script>.answers   its answers, for other scripts that ask the same (probes)

What a probe's configure said is forgotten at the end of the day (UTC), as are compiled objects (`objects.py`).
"""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from pybots_worker import answers, layout
from pybots_worker.contract import PREFIX, InterpreterWork
from pybots_worker.errors import failed
from pybots_worker.phases import build
from pybots_worker.phases.context import Context
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
PACKAGES: Final = Path("/var/lib/dpkg/status")
"""Changes whenever a system package comes or goes, and with it configure's answers."""


def configure(context: Context) -> None:
    """`./configure`, with the answers of an earlier run of the very same script where nothing changed.

    For a recipe without byte-code, a probe's, all that configure writes is taken from an earlier run on the same input, and
    else the answers to what other scripts asked as well."""
    work = build.work_of(context)
    key = _configure_key(context, work)
    if work.recipe.bytecode:
        _configure(context, work, key)
        return
    store = context.machine.configure / f"{_inputs_key(context, key)}.tree"
    if store.is_file():
        context.say("what configure wrote for the same input is reused")
        packed = context.give("configured.tar", store.read_bytes())
        build.command(context, "sh", "-c", UNPACK, "-", packed)
        return
    mark = context.give("mark", "")
    _configure(context, work, key)
    build.command(context, "sed", "-i", QUIET, "Makefile")
    build.command(context, "sh", "-c", PACK, "-", mark, CONFIGURED)
    _keep(context, store, _taken(context, CONFIGURED, MAX_CONFIGURED))


def _configure(context: Context, work: InterpreterWork, key: str) -> None:
    store = context.machine.configure / key
    others = None if work.recipe.bytecode else _Others(context, work)
    known = store.is_file()
    if known:
        context.say("configure's earlier answers are reused")
        context.give("config.cache", store.read_bytes())
    elif others and (said := others.said()):
        context.say(f"{said.count(chr(10))} answers of other configure scripts are reused")
        context.give("config.cache", said)
    context.give("config.site", SITE)
    options = [*work.recipe.configure, *([] if work.recipe.ensurepip else ["--with-ensurepip=no"])]
    build.command(context, "sh", "./configure", f"--prefix={PREFIX}", *options, configuring=True)
    if known:
        return
    cache = _taken(context, CACHE_FILE, MAX_CONFIGURE)
    _keep(context, store, cache)
    if others and cache:
        others.keep(cache)


class _Others:
    """Answers of this day to the same questions, given to other scripts under the same settings."""

    def __init__(self, context: Context, work: InterpreterWork) -> None:
        script = _file_of_tree(context, "configure")
        text = (
            script.decode("utf-8", "surrogateescape") if len(script) <= answers.MAX_SCRIPT else ""
        )
        self.asked = answers.questions(text)
        self.setting = _digest([self.asked.setting, *_machine(context, work)])
        self.name = f"{self.setting[:32]}.{hashlib.sha256(script).hexdigest()[:32]}.answers"
        self.context = context

    def said(self) -> str:
        """What they agree on, as a cache file; "" is nothing."""
        found = self.context.machine.configure.glob(f"{_day()}.{self.setting[:32]}.*.answers")
        newest = sorted(found, key=lambda path: path.stat().st_mtime)[-answers.MAX_STORES :]
        stores: list[answers.Answers] = []
        for path in newest:
            with suppress(msgspec.DecodeError):  # cut short when this machine went down
                stores.append(msgspec.json.decode(path.read_bytes(), type=answers.Answers))
        return answers.agreed(stores, self.asked)

    def keep(self, cache: bytes) -> None:
        """What this script was told, for others."""
        told = answers.given(cache.decode("utf-8", "surrogateescape"), self.asked)
        store = self.context.machine.configure / f"{_day()}.{self.name}"
        _keep(self.context, store, msgspec.json.encode(told))


def _day() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime())


def _taken(context: Context, inside: str, limit: int) -> bytes:
    """A file that the job wrote; nothing where it wrote none: the miniature's configure keeps no answers."""
    try:
        return take(context.folder.work, context.folder.outside(inside), limit)
    except (FileNotFoundError, NotTakenError):
        return b""


def _keep(context: Context, store: Path, data: bytes) -> None:
    if data:
        part = store.with_name(f".{store.name}.{context.folder.name}")
        part.write_bytes(data)
        part.replace(store)


def _inputs_key(context: Context, key: str) -> str:
    """Names everything configure may read: the tree but for code, the recipe, this machine."""
    tree = context.folder.outside(layout.CPYTHON)
    digest = hashlib.sha256(key.encode())
    for path in sorted(tree.rglob("*")):
        name = path.relative_to(tree).as_posix()
        read = name in READ or not (name.startswith(UNREAD) or name.endswith(CODE))
        if read and path.is_file() and not path.is_symlink():
            digest.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _configure_key(context: Context, work: InterpreterWork) -> str:
    """Names who gives configure's answers: the script, what it runs, the recipe, this machine; for a probe also the day."""
    ran = [_file_of_tree(context, name) for name in ("configure", *RUN)]
    day = [] if work.recipe.bytecode else [_day()]
    return _digest(
        [*(hashlib.sha256(one).hexdigest() for one in ran), *day, *_machine(context, work)]
    )


def _machine(context: Context, work: InterpreterWork) -> list[str]:
    installed = PACKAGES.stat() if PACKAGES.exists() else None
    return [
        msgspec.json.encode(work.recipe).decode(),
        context.machine.facts.abi,
        context.machine.facts.compiler,
        f"{installed.st_mtime_ns} {installed.st_size}" if installed else "",
    ]


def _digest(parts: list[str]) -> str:
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

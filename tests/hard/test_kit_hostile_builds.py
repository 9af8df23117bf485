"""A hostile CPython: its configure and Makefile go for the kit, the caches, other jobs and what later builds believe.

Each of CRIMES prints its name if it succeeds. The host looks, too."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.hard.conftest import Mini
from tests.hard.kit_world import Kit
from tests.hard.test_kit_intruders import contents
from tests.hard.test_sandbox_driver import alive

from pybots_worker.contract import InterpreterWork, Recipe, Report
from pybots_worker.facts import MASQUERADE

SLEEP = "73125.25"
"""Seconds that nobody else sleeps."""

CRIMES = """
crime() {{ name=$1; shift; if (eval "$*") >/dev/null 2>&1; then echo "CRIME $name"; fi; }}
crime secret 'cat {secret} || cat /proc/1/root{secret}'
crime outside 'echo x >>{secret} || echo x >/etc/x || echo x >/usr/x || echo x >/opt/x || echo x >/var/x'
crime kit 'for f in /opt/pybots/kit/* /opt/pybots/job/*; do echo x >>$f && exit 0; done; exit 1'
crime given 'echo x >/opt/pybots/job/planted || echo x >/opt/pybots/kit/planted'
crime caches 'ls {cache} || echo x >/opt/pybots/uv-cache/planted || ls /opt/pybots/uv-cache || ls /opt/pybots/bin'
crime jobs 'ls {jobs}'
crime interpreters 'ls {cache}/interpreters || ls /opt/pybots/interpreters'
crime network 'exec 3<>/dev/tcp/192.0.2.1/80 || ip route get 192.0.2.1'
crime processes 'grep -l pybots_worker /proc/[0-9]*/cmdline'
crime root 'setpriv --reuid=0 true || unshare -r true || mount -t tmpfs x /pybots'
setsid sh -c "trap '' TERM HUP INT; sleep {sleep}" >/dev/null 2>&1 &
"""
LINK = "rm -f /pybots/config.cache; ln -s {secret} /pybots/config.cache\n"
PLANT = "\n\t".join(
    (
        "ln -s {secret} $(DESTDIR)$(prefix)/lib/link",
        "-ln {secret} $(DESTDIR)$(prefix)/lib/hard",
        "chmod 6755 $(DESTDIR)$(prefix)/bin/python3",
        "-echo x >/opt/pybots/kit/pybots_interpreter.py && echo CRIME install",
    )
)


@pytest.fixture
def kit(mini: Mini, tmp_path: Path) -> Iterator[Kit]:
    """A workshop of its own, beside another job's folder; the miniature is as it was afterwards."""
    tmp_path.chmod(0o755)
    made = Kit(tmp_path / "kit")
    (made.workshop.root / "jobs" / "9-9" / "work").mkdir(parents=True)
    before = mini.world.head()
    yield made
    subprocess.run(
        ["git", "-C", str(mini.world.cpython), "reset", "-q", "--hard", before], check=True
    )


def build(mini: Mini, kit: Kit, files: dict[str, str], *, plain: bool = False) -> Report:
    """Build a commit with these files, after a good one's build has warmed the caches."""
    sha = mini.world.commit_files(files, "An innocent change")
    job = kit.interpreter_job(mini.world.cpython, sha, Recipe(ensurepip=False))
    assert isinstance(job.work, InterpreterWork)
    return kit.run(
        msgspec.structs.replace(job, work=msgspec.structs.replace(job.work, plain=plain))
    )


def text(mini: Mini, name: str) -> str:
    return (mini.world.cpython / name).read_text()


def test_a_cpython_that_goes_for_its_host_gets_nothing(
    mini: Mini, kit: Kit, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("nobody's business")
    secret.chmod(0o666)
    cache = kit.workshop.root / "cache"
    words = {"secret": secret, "cache": cache, "jobs": kit.workshop.root / "jobs", "sleep": SLEEP}
    kit.built(mini.world.cpython, mini.world.head())
    before = {name: contents(cache / name) for name in ("interpreters", "sources", "uv")}
    makefile = text(mini, "Makefile.pre.in").replace(
        "\ninstall: altinstall bininstall maninstall\n",
        "\ninstall: altinstall bininstall maninstall\n\t" + PLANT.format(**words) + "\n",
    )
    report = build(
        mini,
        kit,
        {
            "configure.real": text(mini, "configure"),
            "configure": "#! /bin/sh\n" + CRIMES.format(**words)
            + 'sh ./configure.real "$@" || exit 1\n' + LINK.format(**words),
            "Makefile.pre.in": makefile,
        },
        plain=True,
    )  # fmt: skip
    assert "checking whether the C compiler works... yes" in kit.log.text, kit.log.text
    assert [line for line in kit.log.text.splitlines() if line.startswith("CRIME")] == []
    assert secret.read_text() == "nobody's business" and secret.stat().st_nlink == 1
    assert not alive(SLEEP), "its daemon died with it"
    after = {name: contents(cache / name) for name in before}
    assert before["sources"].items() <= after["sources"].items()
    assert before["interpreters"].items() <= after["interpreters"].items()
    assert after["uv"] == before["uv"]
    kept = [path.read_bytes() for path in (cache / "configure").rglob("*") if path.is_file()]
    assert not any(b"nobody's business" in data for data in kept), "no link out of it is followed"
    assert {result.phase for result in report.phases} >= {"configure", "compile", "install"}


GUESS = """\
#! /bin/sh
{said}
"""
ASKS = """\
#! /bin/sh
test -r "$CONFIG_SITE" && . "$CONFIG_SITE"
test -r /pybots/config.cache && . /pybots/config.cache
sh ./configure.real "$@" || exit 1
echo "the answer is ${answer-none}"
test -r /pybots/config.cache || sh ./config.guess >/pybots/config.cache
"""
"""As autoconf does: answers of an earlier run are believed, and config.guess is one of those who give them."""


def test_answers_planted_by_one_build_are_believed_by_no_other(mini: Mini, kit: Kit) -> None:
    real, evil = text(mini, "configure"), GUESS.format(said="echo answer=evil")
    honest = GUESS.format(said="echo answer=honest")
    asks = {"configure": ASKS, "configure.real": real}
    build(mini, kit, {**asks, "config.guess": evil})
    build(mini, kit, {"config.guess": honest})
    assert "the answer is none" in kit.log.text, kit.log.text
    build(mini, kit, {"Objects/longobject.c": text(mini, "Objects/longobject.c") + "\n"})
    assert "the answer is honest" in kit.log.text, "where nothing changed, they are reused"


ASKED = """\
#! /bin/sh
as_me=configure
test -r "$CONFIG_SITE" && . "$CONFIG_SITE"
test -r "$cache_file" && . "$cache_file"
sh ./configure.real "$@" || exit 1
: "$as_me:${{as_lineno-$LINENO}}: checking for an answer"
ac_cv_func_answer=${{ac_cv_func_answer-$({says})}}
echo "the answer is $ac_cv_func_answer"
echo "ac_cv_func_answer=\\${{ac_cv_func_answer=$ac_cv_func_answer}}" >"$cache_file"
: "$as_me:${{as_lineno-$LINENO}}: checking nothing more"
{more}
"""
CLOCK = "date +1%N | cut -c1-9"
"""What this machine would say: something else at each asking."""
PROBE = Recipe(ensurepip=False, bytecode=False, cflags="-O0")


def answered(mini: Mini, kit: Kit, script: str) -> str:
    """What a probe's configure says that the answer is."""
    real = mini.world.cpython / "configure.real"
    own = {} if real.exists() else {"configure.real": text(mini, "configure")}
    sha = mini.world.commit_files({"configure": script, **own}, "Another configure")
    kit.run(kit.interpreter_job(mini.world.cpython, sha, PROBE))
    said = [line for line in kit.log.text.splitlines() if line.startswith("the answer is")]
    assert len(said) == 1, kit.log.text
    return said[0].rpartition(" ")[2]


def test_a_probes_answers_hold_for_other_scripts_that_ask_the_same(mini: Mini, kit: Kit) -> None:
    first = answered(mini, kit, ASKED.format(says=CLOCK, more=""))
    assert answered(mini, kit, ASKED.format(says=CLOCK, more="# another script")) == first
    assert answered(mini, kit, ASKED.format(says=CLOCK + " | cat", more="")) != first
    lie = 'sed -i s/[0-9]/7/g "$cache_file"'
    assert answered(mini, kit, ASKED.format(says=CLOCK, more=lie)) == first
    assert answered(mini, kit, ASKED.format(says=CLOCK, more="# a third")) != first, "nobody agrees"


def test_a_probes_answers_are_forgotten_at_the_end_of_the_day(mini: Mini, kit: Kit) -> None:
    first = answered(mini, kit, ASKED.format(says=CLOCK, more=""))
    kept = list((kit.workshop.root / "cache" / "configure").glob("*.answers"))
    assert kept
    for path in kept:
        path.rename(path.with_name("2001-01-01" + path.name[10:]))
    assert answered(mini, kit, ASKED.format(says=CLOCK, more="# another")) != first


def entries(kit: Kit, kind: int) -> list[Path]:
    """The shared objects (kind 0), or what says which of them belong to a source (1)."""
    found = (kit.workshop.root / "cache" / "ccache").glob("*/??/*")
    return sorted(path for path in found if path.read_bytes()[3] == kind)


def compiled(mini: Mini, kit: Kit, *, plain: bool = False) -> bool:
    """Build the head; whether it compiles."""
    job = kit.interpreter_job(mini.world.cpython, mini.world.head())
    work = msgspec.structs.replace(job.work, plain=plain)
    report = kit.run(msgspec.structs.replace(job, work=work))
    return {result.phase: result.ok for result in report.phases}["compile"]


PLANTER = """
plant:
\tfor f in /opt/pybots/ccache/*/*; do \\
\t\td=/pybots/objects/$$(basename $$(dirname $$f)); mkdir -p $$d; cp -f $(EVIL) $$d/$$(basename $$f); done
\t-for f in /opt/pybots/ccache/*/*; do echo x >$$f && echo CRIME write; rm $$f && echo CRIME remove; done
\t-mkdir /opt/pybots/ccache/zz && echo CRIME add; chmod 777 /opt/pybots/ccache && echo CRIME open
\tmkdir -p /pybots/objects/zz && ln -s {secret} /pybots/objects/zz/{name}
\tmkfifo /pybots/objects/zz/{pipe}
\techo nonsense >/pybots/objects/zz/{nonsense}
\tln -s / /pybots/objects/yy
"""


@pytest.mark.skipif(not MASQUERADE.is_dir(), reason="needs ccache")
def test_no_build_changes_what_others_compiled(mini: Mini, kit: Kit, tmp_path: Path) -> None:
    """It offers the kit another content for every object that is there, links, a pipe and nonsense, and is built whole."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"\xcc\xac\x01\x00 nobody's business")
    assert compiled(mini, kit)
    before = {path: path.read_bytes() for path in entries(kit, 0)}
    assert len(before) >= 5
    names = {"name": "a" * 31, "pipe": "b" * 31, "nonsense": "c" * 31}
    evil = f"EVIL = /opt/pybots/ccache/{min(before).parent.name}/{min(before).name}\n"
    makefile = text(mini, "Makefile.pre.in").replace(
        "\ninstall: altinstall bininstall maninstall\n",
        "\ninstall: altinstall bininstall maninstall plant\n",
    )
    report = build(
        mini, kit, {"Makefile.pre.in": makefile + evil + PLANTER.format(secret=secret, **names)}
    )
    assert {one.phase: one.ok for one in report.phases}["publish"], kit.log.text
    assert not [line for line in kit.log.text.splitlines() if line.startswith("CRIME")]
    after = {path: path.read_bytes() for path in entries(kit, 0)}
    assert before.items() <= after.items(), "objects stay what they were"
    shared = kit.workshop.root / "cache" / "ccache"
    assert not list(shared.glob("*/zz")) and not list(shared.glob("*/yy"))
    assert not any(b"nobody's business" in data for data in after.values())


@pytest.mark.skipif(not MASQUERADE.is_dir(), reason="needs ccache")
def test_a_build_that_fails_adds_nothing_to_what_others_compiled(mini: Mini, kit: Kit) -> None:
    assert compiled(mini, kit)
    before = contents(kit.workshop.root / "cache" / "ccache")
    makefile = text(mini, "Makefile.pre.in").replace(
        "\ninstall: altinstall bininstall maninstall\n",
        "\ninstall: altinstall\n\t@ls /pybots/objects/??/* && false\n",
    )
    source = text(mini, "Objects/longobject.c") + "\nint planted;\n"
    report = build(mini, kit, {"Makefile.pre.in": makefile, "Objects/longobject.c": source})
    assert {one.phase: one.ok for one in report.phases}["install"] is False, kit.log.text
    assert "/pybots/objects/" in kit.log.text, "it did compile something new"
    assert contents(kit.workshop.root / "cache" / "ccache") == before


@pytest.mark.skipif(not MASQUERADE.is_dir(), reason="needs ccache")
def test_the_days_plain_build_takes_no_objects_that_others_planted(mini: Mini, kit: Kit) -> None:
    """Were all objects exchanged for one: what then builds routinely is not what the source says, and the day's plain build
    puts it right."""
    assert compiled(mini, kit)
    results = entries(kit, 0)
    assert len(results) >= 5
    for one in results[1:]:
        one.write_bytes(results[0].read_bytes())
    assert not compiled(mini, kit), "ccache itself believes them"
    assert compiled(mini, kit, plain=True), kit.log.text
    assert compiled(mini, kit), kit.log.text


@pytest.mark.skipif(not MASQUERADE.is_dir(), reason="needs ccache")
def test_objects_of_another_day_are_forgotten(mini: Mini, kit: Kit) -> None:
    assert compiled(mini, kit)
    [day] = (kit.workshop.root / "cache" / "ccache").iterdir()
    for one in entries(kit, 0)[1:]:
        one.write_bytes(entries(kit, 0)[0].read_bytes())
    day.rename(day.with_name("2001-01-01"))
    assert compiled(mini, kit), kit.log.text
    assert [path.name for path in day.parent.iterdir()] == [day.name]

"""The miniature world is repeatable, its history is what it says, and what it builds is the Python of that commit."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pybots.miniature import CHANGES, START, Bounds, NoBaseError, World, find_base
from pybots.miniature.hostile import hostile
from pybots.miniature.projects import PROJECTS

CHECK = """
import json, os, sys, sysconfig, colorsys
def refused(what):
    try:
        what()
    except Exception as error:
        return type(error).__name__
print(json.dumps({
    "version": sys.version, "prefix": sys.prefix, "flags": sysconfig.get_config_var("CONFIG_ARGS"),
    "yiq": hasattr(colorsys, "rgb_to_yiq"), "digits": refused(lambda: str(10**1000)),
    "keyword": refused(lambda: exec("unless = 1")), "string": refused(lambda: exec("'unless'")),
    "literal": refused(lambda: compile("0x+1", "<literal>", "eval")),
    "stdlib": os.path.exists(sysconfig.get_path("stdlib")),
}))
"""


@pytest.fixture(scope="module", autouse=True)
def needs_a_base() -> None:
    """Only a machine without git, make, a compiler or a Python in /usr cannot make the world: a named skip."""
    missing = [tool for tool in ("git", "make", "cc") if not shutil.which(tool)]
    if missing:
        pytest.skip(f"the miniature needs {', '.join(missing)}")
    try:
        if find_base().carried:
            pytest.skip("the base would have to be carried, which is slow")
    except NoBaseError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("miniature") / "world"
    return World.create(folder, projects=["sprout", "fern", "bad-archive"])


@pytest.fixture
def world(template: World, tmp_path: Path) -> World:
    """A world of the test's own: a copy is faster than a new one."""
    shutil.copytree(template.folder, tmp_path / "world")
    return World.open(tmp_path / "world")


def git(path: Path, *args: str) -> list[str]:
    done = subprocess.run(["git", *args], cwd=path, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_same_arguments_give_the_same_world(world: World, tmp_path: Path) -> None:
    """Shas and archives depend on nothing but the arguments (and the base's version)."""
    other = World.create(tmp_path / "other", projects=["sprout", "fern", "bad-archive"])
    assert world.commit("break-anchor") == other.commit("break-anchor")
    for one, two in zip(world.projects(), other.projects(), strict=True):
        assert one.sdist.read_bytes() == two.sdist.read_bytes()


def test_the_first_history_has_several_authors(world: World) -> None:
    """At least four people and five commits, an hour apart."""
    log = git(world.cpython, "log", "--format=%ae %ct")
    assert len({line.split()[0] for line in log}) >= 4
    times = [int(line.split()[1]) for line in reversed(log)]
    assert times == [int(START.timestamp()) + 3600 * hour for hour in range(len(times))]


def test_every_kind_of_commit_can_be_made(world: World) -> None:
    """In the order of the table, where each change stands before its repair."""
    before = git(
        world.cpython, "rev-parse", "HEAD:Lib/colorsys.py", "HEAD:configure", "HEAD:Include"
    )
    shas = [world.commit(kind) for kind in CHANGES]
    assert len(set(shas)) == len(CHANGES)
    after = git(
        world.cpython, "rev-parse", "HEAD:Lib/colorsys.py", "HEAD:configure", "HEAD:Include"
    )
    assert before == after


def test_a_change_cannot_be_made_twice_nor_undone_before(world: World) -> None:
    """A mistake in a script is named, not committed."""
    with pytest.raises(ValueError, match="no 'Remove colorsys"):
        world.commit("fix-anchor")
    world.commit("break-anchor")
    with pytest.raises(ValueError, match="made before"):
        world.commit("break-anchor")


def test_documentation_touches_nothing_that_is_built(world: World) -> None:
    """docs-only stays within Doc/ and Misc/NEWS.d/, so that its content key is its parent's."""
    world.commit("docs-only", at=datetime(2026, 2, 1, tzinfo=UTC))
    files = git(world.cpython, "show", "--format=%ct", "--name-only")
    assert files[0] == str(int(datetime(2026, 2, 1, tzinfo=UTC).timestamp()))
    assert {name.split("/")[0] for name in files[2:]} == {"Doc", "Misc"}
    assert all("NEWS.d" in name for name in files if name.startswith("Misc"))


def test_what_is_installed_is_the_python_of_its_commit(world: World, tmp_path: Path) -> None:
    """configure, make, make install; then the changes of library, C and language hold, also with -I and -S."""
    for kind in ("break-anchor", "break-tally", "new-keyword", "refuse-literal"):
        sha = world.commit(kind)
    prefix, source, staging = tmp_path / "prefix", tmp_path / "source", tmp_path / "staging"
    source.mkdir()
    git(world.cpython, "archive", "--output", str(tmp_path / "source.tar"), "HEAD")
    subprocess.run(["tar", "-xf", str(tmp_path / "source.tar"), "-C", str(source)], check=True)
    build = f"./configure -q --prefix={prefix} --without-ensurepip && make -s -j2 && make -s install DESTDIR={staging}"
    subprocess.run(build, cwd=source, shell=True, check=True, capture_output=True)
    shutil.move(f"{staging}{prefix}", prefix)
    assert [path.name for path in prefix.rglob("*") if path.is_symlink()] == ["python3"]
    for flags in ([], ["-I", "-S"]):
        run = [str(prefix / "bin/python3"), *flags, "-c", CHECK]
        said = json.loads(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
        assert sha[:12] in said.pop("version")
        assert said == {
            "prefix": str(prefix), "flags": f"'-q' '--prefix={prefix}' '--without-ensurepip'",
            "yiq": False, "digits": "ValueError", "keyword": "SyntaxError", "string": None, "literal": "SyntaxError", "stdlib": True,
        }  # fmt: skip


def test_a_project_says_where_it_lies_and_how_its_tests_run(world: World) -> None:
    """A release is a commit and an archive; a broken archive is really broken."""
    assert [project.name for project in world.projects()] == ["sprout", "fern", "bad-archive"]
    assert World.open(world.folder).project("fern").extension
    sdist = world.release("sprout", "1.1")
    sprout = world.project("sprout")
    assert (sprout.version, sprout.sdist, sprout.runner) == ("1.1", sdist, "unittest")
    assert "1.1" in git(sprout.git, "log", "-1", "--format=%s")[0]
    with tarfile.open(sdist) as archive:
        assert {"sprout-1.1/PKG-INFO", "sprout-1.1/pyproject.toml"} <= set(archive.getnames())
    with (
        pytest.raises((tarfile.TarError, EOFError)),
        tarfile.open(world.project("bad-archive").sdist) as archive,
    ):
        archive.getnames()


def test_the_index_lists_every_release(world: World, tmp_path: Path) -> None:
    """PEP 503 for installers, PEP 691 for those who ask for JSON; both name the same files and digests."""
    world.release("sprout", "1.1")
    index = world.simple_index(tmp_path / "index")
    page = json.loads((index / "simple/sprout/index.json").read_text())
    assert page["versions"] == ["1.0", "1.1"]
    html = (index / "simple/sprout/index.html").read_text()
    for file in page["files"]:
        assert f"{file['url']}#sha256={file['hashes']['sha256']}" in html
        assert (index / "simple/sprout" / file["url"]).stat().st_size == file["size"]
    assert (index / "simple/bad-archive/index.html").exists()


def test_the_definitions_are_sound() -> None:
    """Names are unique, stories name kinds that exist, and the tests of the bad ones are Python within their bounds."""
    bad = hostile(Bounds(forks=7, noise_bytes=11))
    names = [definition.name for definition in (*PROJECTS, *bad)]
    assert len(set(names)) == len(names)
    for definition in bad:
        for name, text in definition.files.items():
            compile(text, name, "exec")
    texts = {definition.name: "".join(definition.files.values()) for definition in bad}
    assert "range(7)" in texts["bad-forks"] and "range(11 //" in texts["bad-noise"]
    assert all(not change.undoes or change.undoes in CHANGES for change in CHANGES.values())

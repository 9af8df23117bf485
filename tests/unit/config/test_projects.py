"""projects/*.toml: what becomes of a good file, and of a folder of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pybots.config.errors import ConfigErrors
from pybots.config.examine import examine
from pybots.config.farm import built_in_projects
from pybots.config.projects import examine_projects, load_project, load_projects
from pybots.core.model import GitBranch, IndexSource
from pybots_worker import contract

GOOD = Path(__file__).parent / "good"
SMALL = 'title = "X"\n[source.release]\nindex = "x"\n[test]\nrunner = "pytest"\n'


@pytest.mark.parametrize(
    "path", sorted(built_in_projects().glob("*.toml")), ids=lambda path: path.stem
)
def test_every_project_that_comes_with_pybots_loads(path: Path) -> None:
    project = load_project(path)
    assert project.note and project.homepage and project.tracker


def test_the_starter_set_is_small_and_has_a_runner_of_each_kind() -> None:
    starters = [p for p in load_projects([built_in_projects()]).values() if p.starter]
    assert 3 <= len(starters) <= 5
    assert {"pytest", "unittest"} <= {project.test.runner for project in starters}
    assert any(project.modules for project in starters)
    assert all(project.timeout_minutes <= 10 for project in starters)


def test_a_file_with_every_key_loads() -> None:
    project = load_project(GOOD / "everything.toml")
    assert project.sources == {
        "release": IndexSource(name="Everything", version="1.2", pre=True),
        "trunk": GitBranch(url="https://example.org/x.git", branch="dev", submodules=True),
    }
    assert project.install == contract.Install(
        path="python",
        extras=("all",),
        groups=("tests",),
        requirements=("pytest>=8", "x @ https://example.org/x-1.tar.gz"),
        requirement_files=("requirements/test.txt",),
        editable=True,
        build_isolation=False,
        as_of="2025-01-31",
        commands=(("make", "tables"),),
    )
    assert project.test == contract.Test(
        runner="command", args=("make", "check"), directory="python", results="junit.xml", retries=2
    )
    assert project.env == {"TZ": "UTC", "NOTE": "two\nlines"}
    assert project.wants == ("compiler", "headers:ffi", "g++")
    assert (project.services, project.system) == (("mariadb", "postgresql"), ("libxml2",))
    assert project.facts == {
        *project.wants, "service:mariadb", "service:postgresql", "system:libxml2"
    }  # fmt: skip
    assert (project.network, project.timeout_minutes, project.memory_mb) == ("always", 1.5, 512)
    assert (project.flavours, project.branches) == (("release", "debug"), ("main", "3.14"))


def test_every_key_is_in_that_file() -> None:
    """So that a new key cannot be added without a place in the good example."""
    import tomllib

    from pybots.config.closed import keys_at
    from pybots.config.projects import ProjectFile

    data = tomllib.loads((GOOD / "everything.toml").read_text())
    for path in ((), ("source", "release"), ("source", "trunk"), ("install",), ("test",)):
        at = data
        for part in path:
            at = at[part]
        lacking = set(keys_at(ProjectFile, path)) - set(at)
        assert not lacking


def test_the_smallest_file_has_sane_defaults(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(SMALL)
    project = load_project(tmp_path / "x.toml")
    assert (project.name, project.timeout_minutes, project.network) == ("x", 30.0, "install")
    assert not project.starter and project.test.retries == 3


def test_a_file_whose_name_is_no_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "My Project.toml").write_text(SMALL)
    with pytest.raises(ConfigErrors, match=r'"My Project" is not a name .*rename the file'):
        load_projects([tmp_path])


def test_a_project_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.toml").write_text(SMALL)
    with pytest.raises(ConfigErrors, match="is there twice"):
        load_projects([tmp_path / "a", tmp_path / "b"])


def test_the_mistakes_of_all_files_come_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("title = X")
    (tmp_path / "b.toml").write_text('ttile = "X"\n')
    (tmp_path / "c.toml").write_text(SMALL)
    found = examine_projects([tmp_path])
    assert {Path(problem.file).name for problem in found.problems} == {"a.toml", "b.toml"}
    assert list(found.projects) == ["c"] and found.names == {"a", "b", "c"}


def test_a_file_that_vanishes_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match="cannot be read"):
        load_project(tmp_path / "x.toml")


def test_a_dangling_link_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "x.toml").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigErrors, match="cannot be read"):
        load_projects([tmp_path])


def test_a_date_may_be_a_toml_date(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(SMALL + "[install]\nas_of = 2025-01-31T12:00:00Z\n")
    assert load_project(tmp_path / "x.toml").install.as_of == "2025-01-31T12:00:00+00:00"


def test_check_compares_the_farm_with_its_projects(tmp_path: Path) -> None:
    """Unknown projects, unknown flavours of a project and lacking folders, beside a mistake elsewhere."""
    (tmp_path / "farm.toml").write_text(
        'projects = ["twistde", "x", "broken"]\nfolders = ["/nowhere/at/all"]\nnmae = "x"\n'
    )
    (tmp_path / "projects").mkdir()
    (tmp_path / "projects" / "x.toml").write_text('flavours = ["degub"]\n' + SMALL)
    (tmp_path / "projects" / "broken.toml").write_text("title = 5\n" + SMALL)
    said = "\n".join(str(problem) for problem in examine(tmp_path).problems)
    assert 'unknown project "twistde" (did you mean "twisted"?)' in said
    assert 'unknown flavour "degub" (did you mean "debug"?)' in said
    assert '"/nowhere/at/all" is not a folder' in said
    assert "nmae: unknown key" in said
    assert 'unknown project "broken"' not in said

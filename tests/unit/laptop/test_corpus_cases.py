"""What the culprits benchmark makes of a corpus' free words: commands, options, requirements."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from pybots_worker import layout

BENCH = str(Path(__file__).resolve().parents[2] / "bench")


@pytest.fixture(scope="module")
def corpus() -> Any:
    sys.path.insert(0, BENCH)
    try:
        import culprits_corpus
    finally:
        sys.path.remove(BENCH)
    return culprits_corpus


@pytest.mark.parametrize(
    ("command", "runner", "args", "folder", "path"),
    [
        ("python -m pytest -q tests", "pytest", ("-q", "tests"), ".", "{S}"),
        ("PYTHONPATH=src python -m pytest -q", "pytest", ("-q",), ".", "{S}:{S}/src"),
        ("pytest -k 'a or b'", "pytest", ("-k", "a or b"), ".", ""),
        ("cd sub && python3 -m unittest discover -s t", "unittest", ("discover", "-s", "t"), "sub", "{S}/sub"),
        ("cd sub/ && PYTHONPATH=.:lib pytest", "pytest", (), "sub", "{S}/sub:{S}/sub/lib"),
        ("python tests.py", "command", ("python", "tests.py"), ".", ""),
        ("cd / && python -c 'import a'", "command", ("sh", "-c", "cd / && python -c 'import a'"), ".", ""),
        ("cd .. && pytest", "command", ("sh", "-c", "cd .. && pytest"), ".", ""),
        ("pytest | tee log", "command", ("sh", "-c", "pytest | tee log"), ".", ""),
        ("python -W error -m pytest", "command", ("python", "-W", "error", "-m", "pytest"), ".", ""),
        ("echo 'not closed", "command", ("sh", "-c", "echo 'not closed"), ".", ""),
    ],
)  # fmt: skip
def test_a_commands_tests_are_told_apart_where_the_kit_can(
    corpus: Any, command: str, runner: str, args: tuple[str, ...], folder: str, path: str
) -> None:
    test, env = corpus.test_of(command, {"A": "b"})
    assert (test.runner, test.args, test.directory) == (runner, args, folder)
    assert env == {"A": "b"} | ({"PYTHONPATH": path.format(S=layout.SOURCE)} if path else {})


def test_an_environments_path_is_kept(corpus: Any) -> None:
    _, env = corpus.test_of("python -m unittest", {"PYTHONPATH": "lib:/abs"})
    assert env["PYTHONPATH"] == f"{layout.SOURCE}:{layout.SOURCE}/lib:/abs"


def test_what_an_environment_brings_along_is_added(corpus: Any) -> None:
    case = {"requirements": ["six==1.12.0"], "install": "python setup.py develop"}
    install = corpus.install_of(case)
    assert not install.project
    assert install.requirements == ("six==1.12.0", "setuptools==52.0.0", "wheel==0.36.2")
    case["requirements"] = ["setuptools==41.0.1", "Wheel"]
    assert corpus.install_of(case).requirements == ("setuptools==41.0.1", "Wheel")


def test_pip_is_uvs(corpus: Any) -> None:
    case = {
        "requirements": [],
        "as_of": "2021-02-15",
        "install": "python -m pip install --user -e . && make",
    }
    ((shell, _, command),) = corpus.install_of(case).commands
    assert shell == "sh" and command.endswith(" --exclude-newer 2021-02-15 -e . && make")
    assert command.startswith(f"{layout.UV} pip install --python {layout.VENV}/bin/python")


@pytest.mark.parametrize(
    ("wish", "project", "isolated", "commands"),
    [
        (None, False, True, 0),
        ("", False, True, 0),
        (True, True, True, 0),
        ("no-build-isolation", True, False, 0),
        ("no-build-isolation, no-deps", False, False, 1),
    ],
)
def test_the_projects_installation_is_as_the_case_says(
    corpus: Any, wish: object, project: bool, isolated: bool, commands: int
) -> None:
    install = corpus.install_of({"requirements": [], "install_project": wish})
    assert (install.project, install.build_isolation) == (project, isolated)
    assert len(install.commands) == commands


def test_where_nothing_is_said_the_project_is_installed_with_pytest(corpus: Any) -> None:
    install = corpus.install_of({"id": "decoy"})
    assert install.project and install.requirements == ("pytest",)

"""`pybots project new`: what a look at a source folder tells, and that every draft loads."""

from __future__ import annotations

from pathlib import Path

import pytest

from pybots.config.projects import load_project
from pybots.config.scaffold import Guesses, draft, look_at


def make_tree(root: Path, **files: str) -> Path:
    """Files by name; `__` stands for a slash and `_dot_` for a dot."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_settings_for_pytest_mean_pytest(tmp_path: Path) -> None:
    tree = make_tree(
        tmp_path,
        pyproject_dot_toml="[tool.pytest.ini_options]\n[dependency-groups]\ntests = ['pytest']\n",
    )
    guesses = look_at(tree)
    assert (guesses.runner, guesses.groups, guesses.requirements) == ("pytest", ("tests",), ())


def test_an_extra_is_used_where_there_is_no_group(tmp_path: Path) -> None:
    tree = make_tree(
        tmp_path,
        setup_dot_cfg="[tool:pytest]\n",
        pyproject_dot_toml="[project.optional-dependencies]\ntest = ['pytest']\n",
    )
    assert look_at(tree).extras == ("test",)


def test_trial_in_tox_means_trial(tmp_path: Path) -> None:
    tree = make_tree(
        tmp_path,
        tox_dot_ini="[testenv]\ncommands = python -m twisted.trial x\n[b]\ndeps = pytest-benchmark",
        pyproject_dot_toml='[project]\nname = "Tree-Frog"\n',
    )
    assert look_at(tree).runner == "trial"
    assert look_at(tree).args == ("tree_frog",)


def test_a_runtests_script_means_django(tmp_path: Path) -> None:
    tree = make_tree(tmp_path, tests__runtests_dot_py="")
    assert (look_at(tree).runner, look_at(tree).directory) == ("django", "tests")


def test_nothing_known_means_unittest(tmp_path: Path) -> None:
    tree = make_tree(tmp_path, tests__test_x_dot_py="")
    assert look_at(tree).args == ("discover", "-s", "tests")


def test_c_code_asks_for_its_modules(tmp_path: Path) -> None:
    assert look_at(make_tree(tmp_path, src__x_dot_pyx="")).compiled


@pytest.mark.parametrize("text", ["[", "\x00", "a = 1\na = 2"])
def test_a_broken_source_tree_still_gives_guesses(tmp_path: Path, text: str) -> None:
    tree = make_tree(tmp_path, pyproject_dot_toml=text, setup_dot_cfg=text, tox_dot_ini=text)
    assert look_at(tree).runner == "unittest"


def test_every_draft_loads_and_marks_its_guesses(tmp_path: Path) -> None:
    kinds = [
        Guesses(),
        Guesses(runner="trial", args=("x",), compiled=True),
        Guesses(runner="django", directory="tests", requirements=()),
        Guesses(groups=("tests",), extras=("x",), args=('quote " and \\',)),
    ]
    for number, guesses in enumerate(kinds):
        path = tmp_path / f"p{number}.toml"
        text = draft(path.stem, index="x", git="https://example.org/x", guesses=guesses)
        path.write_text(text)
        assert load_project(path).test.args == guesses.args
        assert "# a guess: " in text


def test_the_tests_needs_come_from_tox_where_nothing_else_names_them(tmp_path: Path) -> None:
    """Lines for some environments only, paths out of the tree and what is no requirement are left out."""
    tree = make_tree(
        tmp_path,
        tox_dot_ini="[testenv]\ndeps =\n    pytest>=8\n    -r{toxinidir}/requirements/test.txt\n    py312: mock\n"
        "    -r ../x.txt\n    -e .\nextras = all, x\ncommands = pytest {posargs}\n",
        requirements__test_dot_txt="mock\n",
    )
    guesses = look_at(tree)
    assert (guesses.runner, guesses.requirements, guesses.extras) == (
        "pytest",
        ("pytest>=8",),
        ("all", "x"),
    )
    assert (
        guesses.requirement_files == ("requirements/test.txt",) and "tox.ini" in guesses.needs_why
    )


def test_other_commands_are_left_to_tox_and_nox(tmp_path: Path) -> None:
    tox = make_tree(tmp_path / "a", tox_dot_ini="[testenv]\ncommands = python run_it.py\n")
    assert (look_at(tox).runner, look_at(tox).args) == ("tox", ("py",))
    text = "import nox\n@nox.session(python=['3.12'])\ndef unit_tests(session): ...\n@nox.session\ndef docs(s): ...\n"
    nox = make_tree(tmp_path / "b", noxfile_dot_py=text)
    assert (look_at(nox).runner, look_at(nox).args) == ("nox", ("unit_tests",))


def test_what_a_nox_session_installs_is_what_the_tests_need(tmp_path: Path) -> None:
    """Plain words only: what is computed there is not known."""
    text = (
        "import nox\n@nox.session(python=['3.12'])\ndef test(session):\n"
        "    session.install('-r', 'dev.txt', '-r', '../x.txt')\n    session.install('.[a,b]', 'mock>=4', '-e', name)\n"
        "    session.run('pytest', *session.posargs)\n@nox.session\ndef docs(s): s.install('sphinx')\n"
    )
    guesses = look_at(make_tree(tmp_path, noxfile_dot_py=text, dev_dot_txt="mock\n"))
    assert guesses.runner == "pytest" and "noxfile.py" in guesses.needs_why
    assert (guesses.requirements, guesses.requirement_files) == (("mock>=4",), ("dev.txt",))
    assert guesses.extras == ("a", "b")


def test_a_sdist_without_tests_is_said_to_have_none(tmp_path: Path) -> None:
    (tmp_path / "PKG-INFO").write_text("Name: frog\nHome-page: https://frog.example.org/\n")
    without = look_at(make_tree(tmp_path, frog__x_dot_py=""))
    assert without.testless and without.homepage == "https://frog.example.org/"
    assert "No tests were seen" in draft("frog", index="frog", git="", guesses=without)
    inside = look_at(make_tree(tmp_path, frog__test__test_it_dot_py=""))
    assert not inside.testless and inside.args == ("discover", "-s", "frog/test", "-t", ".")


def test_metadata_tells_addresses_and_the_import_name(tmp_path: Path) -> None:
    tree = make_tree(
        tmp_path,
        pyproject_dot_toml='[project]\nname = "frog"\n[project.urls]\nHomepage = "https://frog.example.org/"\n'
        'Issues = "javascript:alert(1)"\n',
    )
    (tmp_path / "PKG-INFO").write_text(
        "Name: frog\nProject-URL: Bug Tracker, https://b.example.org/\n\nProject-URL: Bugs, x"
    )
    (tmp_path / "src/MySQLdb").mkdir(parents=True)
    (tmp_path / "src/MySQLdb/__init__.py").touch()
    (tmp_path / "src/MySQLdb/_frog.c").touch()
    guesses = look_at(tree)
    assert (guesses.homepage, guesses.tracker) == (
        "https://frog.example.org/",
        "https://b.example.org/",
    )
    assert 'modules = ["MySQLdb"]' in draft("frog", index="frog", git="", guesses=guesses)


def test_tests_that_lie_in_the_package_are_found(tmp_path: Path) -> None:
    tree = make_tree(tmp_path, frog__tests__test_a_dot_py="import unittest\n")
    assert look_at(tree).args == ("discover", "-s", "frog/tests", "-t", ".")
    make_tree(tmp_path, frog__tests__test_b_dot_py="import pytest\n")
    assert (look_at(tree).runner, look_at(tree).args) == ("pytest", ("frog/tests",))

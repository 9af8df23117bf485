"""`pybots project new`: what a look at a source folder tells, and that every draft loads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pybots.config.looking import look_at
from pybots.config.projects import load_project
from pybots.config.scaffold import BLIND, Guesses, draft


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
    tree = make_tree(tmp_path, tests__runtests_dot_py="import django")
    assert (look_at(tree).runner, look_at(tree).directory) == ("django", "tests")


def test_nothing_known_means_unittest(tmp_path: Path) -> None:
    tree = make_tree(tmp_path, tests__test_x_dot_py="")
    assert look_at(tree).args == ("discover", "-s", "tests")


def test_c_code_asks_for_its_modules(tmp_path: Path) -> None:
    """And for a worker that can compile them; a package at the top would hide the compiled one."""
    setup = "setup(ext_modules=[Extension('frog.x', ['frog/x.cpp'])])"
    tree = make_tree(tmp_path, setup_dot_py=setup, frog__x_dot_cpp="")
    (tmp_path / "frog/__init__.py").touch()
    guesses = look_at(tree)
    assert (guesses.modules, guesses.wants, guesses.editable) == (
        ("frog",),
        ("compiler", "g++"),
        True,
    )


def test_code_that_nothing_compiles_is_none(tmp_path: Path) -> None:
    """C among the tests, or with a build that does not speak of it."""
    tests = make_tree(tmp_path / "a", setup_dot_py="setup(ext_modules=x)", frog__tests__x_dot_c="")
    stubs = make_tree(tmp_path / "b", setup_dot_py="setup()", frog__x_dot_c="")
    assert not look_at(tests).wants and not look_at(stubs).modules


@pytest.mark.parametrize("text", ["[", "\x00", "a = 1\na = 2"])
def test_a_broken_source_tree_still_gives_guesses(tmp_path: Path, text: str) -> None:
    tree = make_tree(tmp_path, pyproject_dot_toml=text, setup_dot_cfg=text, tox_dot_ini=text)
    assert look_at(tree).runner == "unittest"


def test_every_draft_loads_and_marks_its_guesses(tmp_path: Path) -> None:
    kinds = [
        Guesses(),
        BLIND,
        Guesses(runner="trial", args=("x",), wants=("compiler",), modules=("x",), editable=True),
        Guesses(testless=True, repository="https://example.org/x"),
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
        setup_dot_py="",
    )
    guesses = look_at(tree)
    assert (guesses.runner, guesses.requirements, guesses.extras) == (
        "pytest",
        ("pytest>=8",),
        ("all", "x"),
    )
    assert (
        guesses.requirement_files == ("requirements/test.txt",)
        and "tox.ini" in guesses.why["requirements"]
    )


def test_other_commands_are_left_to_tox_and_nox(tmp_path: Path) -> None:
    tox = make_tree(tmp_path / "a", tox_dot_ini="[testenv]\ncommands = python run_it.py\n")
    assert (look_at(tox).runner, look_at(tox).args) == ("tox", ("py",))
    text = "import nox\n@nox.session(python=['3.12'])\ndef unit_tests(session): ...\n@nox.session\ndef docs(s): ...\n"
    nox = make_tree(tmp_path / "b", noxfile_dot_py=text)
    assert (look_at(nox).runner, look_at(nox).args) == ("nox", ("unit_tests",))
    named = text.replace("@nox.session(", "@nox.session(name='unit-tests', ")
    assert look_at(make_tree(tmp_path / "c", noxfile_dot_py=named)).args == ("unit-tests",)


def test_what_a_nox_session_installs_is_what_the_tests_need(tmp_path: Path) -> None:
    """Plain words only: what is computed there is not known."""
    text = (
        "import nox\n@nox.session(python=['3.12'])\ndef test(session):\n"
        "    session.install('-r', 'dev.txt', '-r', '../x.txt')\n    session.install('.[a,b]', 'mock>=4', '-e', name)\n"
        "    session.run('pytest', *session.posargs)\n@nox.session\ndef docs(s): s.install('sphinx')\n"
    )
    guesses = look_at(
        make_tree(tmp_path, noxfile_dot_py=text, dev_dot_txt="mock\n", setup_dot_py="")
    )
    assert guesses.runner == "pytest" and "noxfile.py" in guesses.why["requirements"]
    assert (guesses.requirements, guesses.requirement_files) == (
        ("mock>=4", "pytest"),
        ("dev.txt",),
    )
    assert guesses.extras == ("a", "b")


def test_a_sdist_without_tests_is_said_to_have_none(tmp_path: Path) -> None:
    (tmp_path / "PKG-INFO").write_text("Name: frog\nHome-page: https://frog.example.org/\n")
    without = look_at(make_tree(tmp_path, frog__x_dot_py=""))
    assert without.testless and without.homepage == "https://frog.example.org/"
    assert "No tests were seen" in draft("frog", index="frog", git="", guesses=without)
    inside = look_at(make_tree(tmp_path, frog__test__test_it_dot_py=""))
    assert not inside.testless and inside.args == ("discover", "-s", "frog/test")


def test_metadata_tells_addresses_and_the_import_name(tmp_path: Path) -> None:
    tree = make_tree(
        tmp_path,
        pyproject_dot_toml='[project]\nname = "frog"\n[project.urls]\nHomepage = "https://frog.example.org/"\n'
        'Issues = "javascript:alert(1)"\n',
        setup_dot_py="setup(ext_modules=[])",
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
    """With the top of the tree where they are a package: they may import each other, and unittest wants it so."""
    tree = make_tree(tmp_path, frog__tests__test_a_dot_py="import unittest\n")
    (tree / "frog/tests/__init__.py").touch()
    assert look_at(tree).args == ("discover", "-s", "frog/tests", "-t", ".")
    make_tree(tmp_path, frog__tests__test_b_dot_py="import pytest\n")
    assert (look_at(tree).runner, look_at(tree).args) == ("pytest", ("frog/tests",))


def test_extras_are_seen_wherever_a_setup_py_leaves_them(tmp_path: Path) -> None:
    """PKG-INFO, or the requires.txt of an older setuptools; one of another name counts when pytest is in it."""
    new = make_tree(tmp_path / "a", pytest_dot_ini="")
    (new / "PKG-INFO").write_text(
        'Name: Frog\nProvides-Extra: test\nRequires-Dist: pytest; extra == "test"\n'
    )
    assert (look_at(new).title, look_at(new).extras, look_at(new).requirements) == (
        "Frog",
        ("test",),
        (),
    )
    old = make_tree(tmp_path / "b", pytest_dot_ini="", setup_dot_py="")
    (old / "frog.egg-info").mkdir()
    (old / "frog.egg-info/requires.txt").write_text(
        "six\n\n[dev]\npytest<9\n\n[docs:sys_platform=='x']\npytest\n"
    )
    assert look_at(old).extras == ("dev",)
    cfg = "[tool:pytest]\n[options.extras_require]\ntesting =\n    mock\n"
    assert look_at(make_tree(tmp_path / "c", setup_dot_cfg=cfg)).extras == ("testing",)


def test_a_set_without_pytest_gets_it(tmp_path: Path) -> None:
    group = "[dependency-groups]\ntest = ['mock', {include-group = 'more'}]\nmore = [%s]\n[tool.pytest.ini_options]\nx = 1\n"
    without = look_at(make_tree(tmp_path / "a", pyproject_dot_toml=group % ""))
    assert (without.groups, without.requirements) == (("test",), ("pytest",))
    included = look_at(make_tree(tmp_path / "b", pyproject_dot_toml=group % "'pytest-cov'"))
    assert (included.groups, included.requirements) == (("test",), ())


@pytest.mark.parametrize(
    ("settings", "needs"),
    [
        ("[tool.hatch.envs.test]\ndependencies = ['mock']", ("mock", "pytest")),
        ("[tool.poetry.group.dev.dependencies]\npytest = '^8'", ("pytest",)),
        ("[tool.pdm.dev-dependencies]\ntest = ['pytest>=8', '-e .']", ("pytest>=8",)),
        ("[tool.uv]\ndev-dependencies = ['pytest']", ("pytest",)),
    ],
)
def test_environments_of_other_tools_are_understood(
    tmp_path: Path, settings: str, needs: tuple[str, ...]
) -> None:
    tree = make_tree(tmp_path, pyproject_dot_toml=settings, pytest_dot_ini="")
    assert look_at(tree).requirements == needs


def test_a_requirements_file_is_the_last_resort(tmp_path: Path) -> None:
    tree = make_tree(tmp_path, pytest_dot_ini="", requirements__test_dot_txt="pytest-cov\n")
    (tmp_path / "requirements/dev.txt").write_text("tox")
    assert look_at(tree).requirement_files == ("requirements/test.txt",)
    assert look_at(tree).requirements == ()


def test_toxs_toml_and_its_commands_are_understood(tmp_path: Path) -> None:
    """In whichever file it is told; what is substituted there is not taken for certain."""
    command = "commands = [['python', '-m', 'unittest', 'discover', '-s', 'tests/', {replace = 'posargs'}]]"
    toml = make_tree(tmp_path / "a", tox_dot_toml=f"[env_run_base]\ndeps = ['mock']\n{command}\n")
    assert (look_at(toml).runner, look_at(toml).args) == (
        "unittest",
        ("discover", "-s", "tests/"),
    )
    assert look_at(toml).requirements == ("mock",)
    ini = "[testenv]\ndeps = mock\ncommands = unit: -pytest -x -k no tests {toxinidir}/more nowhere {posargs:-v}\n"
    legacy = make_tree(
        tmp_path / "b",
        pyproject_dot_toml=f'[tool.tox]\nlegacy_tox_ini = """{ini}"""',
        tests__test_a_dot_py="",
        more__test_b_dot_py="",
    )
    guesses = look_at(legacy)
    assert (guesses.args, guesses.requirements) == (("tests", "more"), ("mock", "pytest"))
    unsure = make_tree(
        tmp_path / "c",
        setup_dot_cfg="[testenv]\ncommands = python -m unittest {envtmpdir}/x\n",
        tests__test_a_dot_py="",
    )
    assert look_at(unsure).args == ("discover", "-s", "tests")


def test_a_project_in_a_folder_below_is_found_there(tmp_path: Path) -> None:
    """Or its tests above it; and where nothing installs it, nothing is installed."""
    below = {
        "python__pyproject_dot_toml": "[project]\nname = 'frog'\n[tool.pytest.ini_options]\nx = 1"
    }
    both = make_tree(tmp_path / "a", **below, python__tests__test_a_dot_py="")
    (both / "python/test-requirements.txt").write_text("pytest")
    guesses = look_at(both)
    assert (guesses.path, guesses.directory, guesses.title) == ("python", "python", "frog")
    assert guesses.requirement_files == ("python/test-requirements.txt",)
    above = look_at(make_tree(tmp_path / "b", **below, tests__test_a_dot_py=""))
    assert (above.path, above.directory, above.args) == ("python", ".", ("discover", "-s", "tests"))
    assert 'path = "python"  # a guess: ' in draft("frog", index="x", git="", guesses=above)
    tools = "[dependency-groups]\ntest = ['pytest']\n[tool.ruff]\nx = 1"
    nothing = look_at(make_tree(tmp_path / "c", pyproject_dot_toml=tools, tests__test_a_dot_py=""))
    (tmp_path / "frog.toml").write_text(draft("frog", index="x", git="", guesses=nothing))
    assert load_project(tmp_path / "frog.toml").install.project is False


def test_the_repository_that_the_metadata_names_is_proposed_as_trunk(tmp_path: Path) -> None:
    tree = make_tree(tmp_path, tests__test_a_dot_py="")
    (tmp_path / "PKG-INFO").write_text(
        "Name: frog\nProject-URL: Donate, https://github.com/sponsors/frog\n"
        "Project-URL: Source Code, https://github.com/pond/frog.git\n"
    )
    guesses = look_at(tree)
    assert guesses.tracker == "https://github.com/pond/frog/issues"
    written = draft("frog", index="frog", git="", guesses=guesses)
    assert '# [source.trunk]\n# git = "https://github.com/pond/frog"' in written
    assert "[source.trunk]" not in draft("frog", index="", git="", guesses=guesses).replace(
        "# [source.trunk]", ""
    )


NASTY = {
    "numbers": "project = 5\ntool = 5\ndependency-groups = 'tests'",
    "lists": "project = [1]\n[tool]\npytest = 5\ntox = 5\nhatch = []\npoetry = []",
    "a long number": "a = " + "9" * 6000,
    "a deep nest": "a = " + "[" * 3000,
    "a circle": "[dependency-groups]\ntest = [{include-group = 'test'}, 5]",
    "shapes": "[project]\nname = 5\nurls = 5\noptional-dependencies = [1]\n[tool.tox.env_run_base]\ndeps = 5\ncommands = 5",
    "addresses": '[project]\nname = "x\\u0000\\n"\n[project.urls]\nHomepage = "https://["\nBugs = "http://a\\u001b"\n'
    f'Source = "https://github.com/{"a" * 5000}/b"',
    "markers": f"[testenv]\ndeps = x; {'(' * 5000}\ncommands = python -m unittest 'unclosed\n",
    "decorator": f"import nox\n@nox{'.a' * 2000}\ndef tests(s): s.install('x')",
    "ends": "[testenv]\nextras = a- b_ -c\n",
    "session": "import nox\n@nox.session\ndef tests(s): s.install('x; "
    + "(" * 5000
    + "', '-r', '\\0')",
}


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY.keys())
def test_whatever_a_file_holds_the_draft_is_right(tmp_path: Path, text: str) -> None:
    """One text in all the files at once: each reader takes what it understands."""
    tree = tmp_path / "tree"
    for name in ("pyproject.toml", "tox.ini", "tox.toml", "setup.cfg", "noxfile.py", "PKG-INFO"):
        make_tree(tree, **{name.replace(".", "_dot_"): text})
    (tmp_path / "frog.toml").write_text(
        draft("frog", index="frog", git="", guesses=look_at(tree)), encoding="utf-8"
    )
    assert load_project(tmp_path / "frog.toml").name == "frog"


def test_links_out_of_the_tree_and_odd_names_are_not_followed(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", conftest_dot_py="")
    (tree / "pyproject.toml").symlink_to("/dev/zero")
    (tree / "setup.cfg").symlink_to("setup.cfg")
    (tree / "tests").symlink_to(tmp_path)
    os.mkfifo(tree / "tox.ini")
    odd = os.fsencode(tree) + b'/a\xff"\n'
    os.makedirs(odd + b"/tests")
    for name in (b"/__init__.py", b"/tests/test_x\xff.py", b"/x.c"):
        Path(os.fsdecode(odd + name)).touch()
    guesses = look_at(tree)
    assert (guesses.runner, guesses.args, guesses.modules) == ("pytest", (), ())
    assert draft("frog", index="frog", git="", guesses=guesses).isascii()

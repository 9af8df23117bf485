"""What a look at a source tree tells of how its tests run: runner, arguments, what they need, compiled or not.

Nothing is executed. Every guess says in a few words what it is made of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pybots.config import checks, envs, layout, metadata, strange
from pybots.config.layout import NOT_AT_TOP
from pybots.config.scaffold import Guesses

TEST_NAMES: Final = ("tests", "test", "testing")
REQUIREMENT_FILES: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"requirements[-_./](tests?|testing|pytest)\.(txt|in)",
        r"(tests?|testing)[-_.]requirements\.txt",
        r"(tests?|testing)/requirements([-_]tests?)?\.txt",
        r"requirements[-_./](dev|development|ci)\.txt",
        r"(dev|ci)[-_.]requirements\.txt",
    )
)
COMPILING: Final = re.compile(
    r"ext_?-?modules|\bExtension\(|cythonize|cffi_modules|rust_extensions|RustExtension|maturin|mesonpy|scikit[-_]build"
)
LANGUAGES: Final = {
    "c": "compiler", "pyx": "compiler", "cpp": "g++", "cc": "g++", "cxx": "g++", "rs": "cargo",
}  # fmt: skip
"""The ends of file names, and the fact of a worker that can compile them."""


def look_at(folder: Path) -> Guesses:
    """Guess from pyproject.toml, tox.ini, noxfile.py, setup.cfg, PKG-INFO and the layout."""
    where = layout.home(folder)
    if where == ".":
        return _look(folder)
    if not where:
        bare = replace(_look(folder), extras=(), editable=False)
        return _guess(
            bare, "there is no pyproject.toml or setup.py that installs it", project=False
        )
    inside = _look(folder / where)
    found = _look(folder) if inside.testless else _below(inside, where)
    return _guess(found, "what installs it is there", path=where)


def _below(guesses: Guesses, where: str) -> Guesses:
    """What was seen in a folder of the tree, as the top sees it."""
    files = tuple(f"{where}/{name}" for name in guesses.requirement_files)
    directory = where if guesses.directory == "." else f"{where}/{guesses.directory}"
    found = _guess(guesses, "its tests are there", directory=directory)
    return replace(found, requirement_files=files)


def _look(folder: Path) -> Guesses:
    about = metadata.read(folder)
    tests = layout.tests_in(folder)
    guesses = _runner(folder, about, tests)
    if guesses.runner not in ("tox", "nox"):
        guesses = _needs(folder, about, guesses)
    guesses = _compiled(folder, about, guesses)
    return replace(
        guesses,
        title=_allowed(checks.line, about.name[:100]),
        homepage=_allowed(checks.web_address, about.homepage),
        tracker=_allowed(checks.web_address, about.tracker),
        repository=about.repository,
        testless=not tests and not layout.has_test_files(folder),
    )


def _allowed(check: Any, value: str) -> str:
    """The value when a project's file may have it, else nothing."""
    try:
        return str(check(value)) if value else ""
    except ValueError:
        return ""


def _guess(guesses: Guesses, why: str, **values: Any) -> Guesses:
    """With further values, each for the same reason."""
    return replace(guesses, why={**guesses.why, **dict.fromkeys(values, why)}, **values)


def _runner(folder: Path, about: metadata.Metadata, tests: str) -> Guesses:
    """Runner, arguments and directory."""
    tox, nox = _tox(folder)[0], envs.of_nox(strange.text(folder, "noxfile.py"))
    settings = "".join(
        strange.text(folder, name) for name in ("tox.ini", "tox.toml", "setup.cfg", "noxfile.py")
    )
    commands = envs.words_after(tox.commands, "unittest")
    paths = tuple(
        word for word in envs.words_after(tox.commands, "pytest") if _is_tests(folder, word)
    )
    where = (tests,) if tests else ()

    def chosen(
        runner: str, why: str, args: tuple[str, ...] = (), args_why: str = "from the layout"
    ) -> Guesses:
        return _guess(_guess(Guesses(), why, runner=runner), args_why, args=args)

    if "django" in strange.text(folder, "tests/runtests.py"):
        found = chosen("django", "tests/runtests.py is there")
        return _guess(found, "from the layout", directory="tests")
    if _has_pytest_settings(folder):
        return chosen("pytest", "it has settings for pytest")
    if re.search(r"(?<![\w-])trial(?![\w-])", settings):
        return chosen("trial", "its settings run trial", (_import_name(folder, about),))
    if commands:
        return chosen(
            "unittest", "its tox settings run it", commands, "as its tox settings have them"
        )
    if paths:
        return chosen("pytest", "its tox settings run it", paths, "as its tox settings have them")
    if "pytest" in settings:
        return chosen("pytest", "its settings mention pytest", where)
    if tests and any("import pytest" in strange.text(folder, str(path.relative_to(folder)))
                     for path in strange.files(folder, f"{tests}/**/*.py")):  # fmt: skip
        return chosen("pytest", "its tests import it", where)
    below = strange.files(folder, f"{tests}/**/conftest.py") if tests else ()
    if any(strange.files(folder, "conftest.py")) or any(below):
        return chosen("pytest", "there is a conftest.py", where)
    if nox.session:
        return chosen("nox", "its noxfile.py has this session", (nox.session,))
    if tox.commands and "unittest" not in tox.commands:
        return chosen(
            "tox", "its tox settings run something else than the runners known here", ("py",)
        )
    # A package's tests import each other by their full name; unittest refuses the top for anything else.
    top = ("-t", ".") if (folder / tests / "__init__.py").is_file() else ()
    discover = ("discover", "-s", tests, *top) if tests else ()
    return chosen("unittest", "nothing mentions another runner", discover)


def _is_tests(folder: Path, word: str) -> bool:
    path = word.partition("::")[0]
    return strange.plain_path(path) and ((folder / path).is_dir() or path.endswith(".py"))


def _tox(folder: Path) -> tuple[envs.Told, str]:
    """What tox is told, in whichever of its files, and which."""
    pyproject = strange.table(strange.toml(strange.text(folder, "pyproject.toml")), "tool", "tox")
    legacy = pyproject.get("legacy_tox_ini")
    for teller, told in (
        ("tox.ini", envs.of_tox(strange.text(folder, "tox.ini"))),
        ("setup.cfg", envs.of_tox(strange.text(folder, "setup.cfg"))),
        (
            "pyproject.toml",
            envs.of_tox(legacy) if isinstance(legacy, str) else envs.of_tox_table(pyproject),
        ),
        ("tox.toml", envs.of_tox_table(strange.toml(strange.text(folder, "tox.toml")))),
    ):
        if told.needs or told.commands:
            return told, teller
    return envs.Told(), ""


def _has_pytest_settings(folder: Path) -> bool:
    tool = strange.table(strange.toml(strange.text(folder, "pyproject.toml")), "tool")
    return (
        bool(strange.table(tool, "pytest"))
        or strange.sections(strange.text(folder, "tox.ini")).has_section("pytest")
        or strange.sections(strange.text(folder, "setup.cfg")).has_section("tool:pytest")
        or any(
            (folder / name).is_file()
            for name in ("pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml")
        )
    )


def _needs(folder: Path, about: metadata.Metadata, guesses: Guesses) -> Guesses:
    """What the tests need, from the most telling place there is; and pytest itself where that does not show it."""
    found, seen = _told_needs(folder, about, guesses)
    if guesses.runner == "pytest" and not any(
        name == "pytest" or name.startswith("pytest-") for name in seen
    ):
        given = (*found.requirements, "pytest")
        why = found.why.get("requirements", "the runner; add what the tests import besides")
        return _guess(found, why, requirements=given)
    return found


def _told_needs(
    folder: Path, about: metadata.Metadata, guesses: Guesses
) -> tuple[Guesses, set[str]]:
    """The guesses with what the tests need, and the distributions seen in that."""
    for key, sets in (("groups", about.groups), ("extras", about.extras)):
        if name := next((name for name in TEST_NAMES if name in sets), ""):
            return _guess(guesses, "its metadata has it", **{key: (name,)}), set(sets[name])
    nox = envs.of_nox(strange.text(folder, "noxfile.py"))
    for told, teller in (_tox(folder), (nox, "noxfile.py")):
        if told.needs:
            return _of_told(folder, about, guesses, told, f"{teller} names it")
    if about.environment:
        why = f"{about.teller} names it"
        return _guess(guesses, why, requirements=about.environment), strange.distributions(
            about.environment
        )
    for key, sets in (("groups", about.groups), ("extras", about.extras)):
        if guesses.runner == "pytest" and (name := _with_pytest(sets)):
            return _guess(guesses, "its metadata has it, with pytest in it", **{key: (name,)}), set(
                sets[name]
            )
    if name := _requirement_file(folder):
        seen = {"pytest"} if "pytest" in strange.text(folder, name) else set()
        return _guess(guesses, "from the layout", requirement_files=(name,)), seen
    return guesses, set()


def _with_pytest(sets: Mapping[str, frozenset[str]]) -> str:
    """A set of another name that has pytest: "dev", "all" …"""
    return next((name for name in sorted(sets) if "pytest" in sets[name] and "doc" not in name), "")


def _of_told(
    folder: Path, about: metadata.Metadata, guesses: Guesses, told: envs.Told, why: str
) -> tuple[Guesses, set[str]]:
    files = tuple(name for name in told.files if strange.text(folder, name))
    seen = strange.distributions(told.requirements)
    seen |= {"pytest"} if any("pytest" in strange.text(folder, name) for name in files) else set()
    for sets, names in ((about.groups, told.groups), (about.extras, told.extras)):
        seen = seen.union(*(sets.get(name, ()) for name in names))
    values = {
        "requirements": told.requirements, "requirement_files": files, "extras": told.extras, "groups": told.groups,
    }  # fmt: skip
    return _guess(guesses, why, **{key: value for key, value in values.items() if value}), seen


def _requirement_file(folder: Path) -> str:
    names = sorted(
        path.relative_to(folder).as_posix()
        for pattern in ("*.txt", "*.in", "*/*.txt", "*/*.in")
        for path in strange.files(folder, pattern)
    )
    return next(
        (
            name
            for pattern in REQUIREMENT_FILES
            for name in reversed(names)
            if pattern.fullmatch(name)
        ),
        "",
    )


def _compiled(folder: Path, about: metadata.Metadata, guesses: Guesses) -> Guesses:
    """Its compiled modules, where it has sources for them and its build speaks of them."""
    build = "".join(
        strange.text(folder, name) for name in ("setup.py", "setup.cfg", "pyproject.toml")
    )
    facts = {fact for end, fact in LANGUAGES.items() if layout.has_source(folder, end)}
    if not facts or (build and not COMPILING.search(build)):
        return guesses
    found = _guess(guesses, "it has code to compile", wants=tuple(sorted({"compiler", *facts})))
    if module := _import_name(folder, about):
        found = _guess(
            found, "it has code to compile; a lost extension is a failure", modules=(module,)
        )
    if (folder / "setup.py").is_file() and (folder / module / "__init__.py").is_file():
        why = "its package lies at the top of the tree and would hide the compiled one"
        found = _guess(found, why, editable=True)
    return found


def _import_name(folder: Path, about: metadata.Metadata) -> str:
    """A package of the distribution's name, else the first there is, else the name made to one that can be imported."""
    places = [
        path.parent.name
        for top in ("src/*/__init__.py", "*/__init__.py")
        for path in sorted(folder.glob(top))
    ]
    names = [name for name in places if name not in NOT_AT_TOP and _allowed(checks.module, name)]
    wanted = re.sub(r"\W", "_", about.name.lower())
    close = next((name for name in names if name.lower() == wanted), "")
    return close or next(iter(names), "") or _allowed(checks.module, wanted)

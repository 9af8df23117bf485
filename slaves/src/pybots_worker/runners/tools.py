"""tox and nox: the project's own environments and commands, on the interpreter under test and no other.

`args` name the environment or session and then what follows `--` there. It is made in the install phase, where there is
network, and used in the test phase, where nothing is installed any more. pytest inside tells the kit through its plugin,
which the environment's variables bring; anything else counts by its exit status.
"""

from __future__ import annotations

import re
from typing import Final

from pybots_worker import layout
from pybots_worker.contract import BUILD_ROOT, Test

FOLDER: Final = f"{BUILD_ROOT}/tool"
"""Where they make their environments."""
TOOLS: Final = frozenset({"tox", "nox"})
_VERSION: Final = re.compile(r"(py|python|cpython|pypy)?[23](\.?\d+)?(\.\d+)?t?")
_SESSION: Final = re.compile(r"-(py|python|pypy)?[23]\.\d+t?(?=$|\()")
_BIN: Final = f"{layout.VENV}/bin"


def environment(test: Test) -> str:
    """The name of the tox environment, or the nox session. A tox environment's factor that names a Python becomes `py`,
    the one that tox itself runs on: that is how it is forced upon it. A session for one Python of several is that
    session: forced upon another Python, nox does not know it by the longer name.

    >>> environment(Test(runner="tox", args=("py312-django42",)))
    'py-django42'
    >>> environment(Test(runner="nox", args=("tests-3.12(django='4.2')",)))
    "tests(django='4.2')"
    """
    name = test.args[0]
    if test.runner == "nox":
        return _SESSION.sub("", name, count=1)
    return "-".join("py" if _VERSION.fullmatch(factor) else factor for factor in name.split("-"))


def making(test: Test) -> tuple[str, ...]:
    """The command that makes the environment and runs no test."""
    more = "--notest" if test.runner == "tox" else "--install-only"
    return (*_command(test), more)


def running(test: Test) -> tuple[str, ...]:
    """The command that runs the tests in it."""
    given = ("--", *test.args[1:]) if test.args[1:] else ()
    if test.runner == "tox":
        return (*_command(test), "--skip-pkg-install", "--skip-env-install", *given)
    return (*_command(test), "-R", *given)


def _command(test: Test) -> tuple[str, ...]:
    name = environment(test)
    if test.runner == "nox":
        return (
            f"{_BIN}/nox", "--session", name, "--force-python", layout.PYTHON, "--envdir", FOLDER,
            "--error-on-missing-interpreters",
        )  # fmt: skip
    settings = ("base_python=" + f"{_BIN}/python", "pass_env=*")
    # Its files have one of two forms; what is said of the other one is not read.
    overrides = [f"{kind}{name}.{one}" for kind in ("testenv:", "env.") for one in settings]
    return (
        f"{_BIN}/tox", "run", "-e", name, "--workdir", FOLDER, "--skip-missing-interpreters", "false",
        *(word for override in overrides for word in ("-x", override)),
    )  # fmt: skip

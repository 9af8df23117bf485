"""How each runner is started inside the sandbox. Data and a match; what they have in common is in `results`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pybots_worker import layout
from pybots_worker.contract import Test
from pybots_worker.runners import tools

BIN = f"{layout.VENV}/bin"
PYTHON = f"{BIN}/python"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A command line, what it adds to the environment, and whether it tells events (`perhaps`: when pytest runs inside)."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    tells: bool = True
    perhaps: bool = False


def plan(test: Test) -> Plan:
    """The command that runs the project's tests."""
    match test.runner:
        case "pytest":
            # The console script and not -m: the latter puts the source folder in front of what was installed.
            return Plan(
                argv=(f"{BIN}/pytest", "-p", "pybots_pytest", *test.args),
                env={"PYTHONPATH": layout.KIT},
            )
        case "unittest" | "trial" | "django":
            return Plan(argv=(PYTHON, f"{layout.KIT}/pybots_{test.runner}.py", *test.args))
        case "regrtest":
            # Not in the environment: the suite looks closely at how its interpreter is installed.
            return Plan(argv=(layout.PYTHON, f"{layout.KIT}/pybots_regrtest.py", *test.args))
        case "tox" | "nox":
            return Plan(
                argv=tools.running(test),
                env={"PYTHONPATH": layout.KIT, "PYTEST_ADDOPTS": "-p pybots_pytest"},
                perhaps=True,
            )
        case "command":
            return Plan(argv=test.args or ("true",), tells=False)


def command_id(test: Test) -> str:
    """The name of the one test that a command without a results file is."""
    return " ".join(test.args) or "command"

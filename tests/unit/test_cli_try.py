"""`pybots try` comes to what the farm would say."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.worker import kit_builders as make

from pybots.cli_try import FAILED, INCONCLUSIVE, PASSED, TryError, _alone, status
from pybots.core.outcomes import observe
from pybots_worker import contract


def of(*tests: contract.TestOutcome, exit_code: int = 0, **phase: object) -> int:
    ok = exit_code == 0 and not phase
    last = make.make_phase("test", ok=ok, **{"exit_code": exit_code, **phase})
    phases = tuple(make.make_phase(name) for name in ("interpreter", "source", "install"))
    return status(observe(make.make_report(phases=(*phases, last), tests=tests), "p"))


@pytest.mark.parametrize(
    ("outcome", "retried", "exit_code", "expected"),
    [
        ("passed", (), 0, PASSED),
        ("failed", ("failed",), 1, FAILED),
        ("failed", ("passed",), 1, PASSED),
        ("crashed", ("passed",), 1, FAILED),
        ("skipped", (), 0, FAILED),
        ("passed", (), 3, FAILED),
    ],
)
def test_a_try_ends_as_the_farm_judges(
    outcome: contract.Outcome, retried: tuple[contract.Outcome, ...], exit_code: int, expected: int
) -> None:
    test = contract.TestOutcome(id="a", outcome=outcome, retried=retried)
    assert of(test, exit_code=exit_code) == expected


def test_the_machines_trouble_is_inconclusive() -> None:
    assert of(ended="sandbox_error", exit_code=1) == INCONCLUSIVE


def test_no_tests_are_no_success() -> None:
    assert of() == FAILED


def test_two_tries_do_not_share_a_folder(tmp_path: Path) -> None:
    with _alone(tmp_path), pytest.raises(TryError, match="--folder"), _alone(tmp_path):
        pass
    with _alone(tmp_path):
        pass

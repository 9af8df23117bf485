"""Outcomes in normal form: ids, counts, digests. Reports are hostile data."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybots.core.normal import MAX_ID, one_line, shape, stable_id
from pybots.core.outcomes import INSTALL, TESTS, Observed, extension, observe
from pybots_worker import contract

ENVIRONMENT = contract.Environment(worker="w", platform="linux-x86_64", abi="debian-12-x86_64")


def outcome(id: str, outcome: str = "passed", **more: object) -> contract.TestOutcome:
    return contract.TestOutcome(id=id, outcome=outcome, **more)  # type: ignore[arg-type]


def seen(
    *tests: contract.TestOutcome, exit_code: int = 0, modules: tuple[str, ...] = ()
) -> Observed:
    phases = [
        contract.PhaseResult(phase=name, ok=True, ended="exit", wall_seconds=1.0, exit_code=0)
        for name in ("interpreter", "source", "install")
    ]
    last = contract.PhaseResult(
        phase="test", ok=not exit_code, ended="exit", wall_seconds=1.0, exit_code=exit_code
    )
    report = contract.Report(
        contract=1, run=1, attempt=1, kind="project", started=1.0, finished=2.0,
        environment=ENVIRONMENT, phases=(*phases, last), tests=tests, modules=modules,
    )  # fmt: skip
    return observe(report, "anchor")


# Ids


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("t.py::a[<f at 0x7f3a5c0d1e50>]", "t.py::a[<f at 0x7f3a5c0d2f60>]"),
        ("t.py::a[/tmp/pytest-of-me/pytest-3/x]", "t.py::a[/tmp/pytest-of-you/pytest-14/x]"),
        ("t.py::a[tmpab12cd_x]", "t.py::a[tmpzz98yy_w]"),
        (
            "t.py::a[1b4e28ba-2fa1-11d2-883f-0016d3cca427]",
            "t.py::a[6fa459ea-ee8a-3ca4-894e-db77e160355e]",
        ),
    ],
)
def test_what_varies_is_not_part_of_an_id(one: str, other: str) -> None:
    assert stable_id(one) == stable_id(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("t.py::a[1]", "t.py::a[2]"),
        ("t.py::a[0x10]", "t.py::a[0x20]"),
        ("t.py::a[tmp]", "t.py::a[tmpdir]"),
    ],
)
def test_what_means_something_stays_in_an_id(one: str, other: str) -> None:
    assert stable_id(one) != stable_id(other)


def test_an_ordinary_id_stays_as_it_is() -> None:
    for name in ("tests/test_a.py::TestB::test_c[1-x]", "a.b.C.test_d", "Prüfung::ok[…]"):
        assert stable_id(name) == name


def test_long_ids_are_cut_and_still_told_apart() -> None:
    one, other = stable_id("x" * 9999 + "a"), stable_id("x" * 9999 + "b")
    assert one != other
    assert len(one) == len(other) == MAX_ID


@given(st.text())
def test_an_id_is_printable_bounded_and_never_one_of_the_farms_own(name: str) -> None:
    made = stable_id(name)
    assert len(made) <= MAX_ID
    assert not made.startswith("<")
    assert all(ord(c) >= 32 and not 0xD800 <= ord(c) < 0xE000 for c in made)


def test_a_test_cannot_pose_as_the_farm() -> None:
    observed = seen(outcome("<install>", "failed"), outcome("a"))
    assert observed.states[INSTALL] == ("passed", None)
    assert "‹install>" in observed.bad


@pytest.mark.parametrize(
    "module",
    [
        "a._b",
        "a/_b.cpython-315-x86_64-linux-gnu.so",
        "a/_b.abi3.so",
        "a/_b.so",
        "a/_b.cp315-win_amd64.pyd",
    ],
)
def test_an_extension_has_one_name_on_every_interpreter(module: str) -> None:
    assert extension(module) == "<extension a._b>"


# Counts, duplicates, digests


def test_counts() -> None:
    observed = seen(
        outcome("a"), outcome("b", "failed"), outcome("c", "skipped"), outcome("d", "xfailed"),
        outcome("e", "failed", retried=("failed", "passed")), outcome("f", "error"), exit_code=1,
    )  # fmt: skip
    counts = observed.counts
    assert (counts.passed, counts.failed, counts.error, counts.flaky) == (2, 1, 1, 1)
    assert (counts.total, counts.bad, observed.ran) == (6, 2, 5)


def test_of_two_results_under_one_id_the_worse_stands_whatever_their_order() -> None:
    for tests in ([outcome("a", "failed"), outcome("a")], [outcome("a"), outcome("a", "failed")]):
        observed = seen(*tests, exit_code=1)
        assert observed.states["a"][0] == "failed"
        assert observed.counts.total == 1


def test_order_and_durations_do_not_change_the_digest() -> None:
    one = seen(outcome("a", seconds=1.0), outcome("b", "failed"), modules=("m", "n"), exit_code=1)
    other = seen(outcome("b", "failed"), outcome("a", seconds=2.0), modules=("n", "m"), exit_code=1)
    assert one.digest() == other.digest()


def test_everything_a_verdict_looks_at_changes_the_digest() -> None:
    said = contract.Failure(type="ValueError", message="x")
    variants = [
        seen(outcome("a")),
        seen(outcome("b")),
        seen(outcome("a", "skipped")),
        seen(outcome("a"), modules=("m",)),
        seen(outcome("a"), exit_code=1),
        seen(outcome("a", "failed"), exit_code=1),
        seen(outcome("a", "failed", failure=said), exit_code=1),
        seen(outcome("a", "failed", retried=("passed",)), exit_code=1),
        seen(),
    ]
    assert len({observed.digest() for observed in variants}) == len(variants)


def test_a_retry_that_passes_makes_it_flaky_but_never_a_crash() -> None:
    observed = seen(
        outcome("a", "error", retried=("failed", "passed")),
        outcome("b", "crashed", retried=("passed",)),
        exit_code=1,
    )
    assert observed.flaky == {"a": "error"}
    assert observed.bad.keys() == {"b"}
    assert observed.states[TESTS] == ("partial", None)


# Shapes of messages


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("line 12 of x", "line 13 of x"),
        ("bad (test.py, line 3)", "bad (test.py, line 44)"),
        ("<Foo object at 0x7f12ab34cd56>", "<Foo object at 0x7f12ab34ffff>"),
        ("{'a': 1, 'b': 2} != {}", "{'b': 2, 'a': 1} != {}"),
        ("{1, 2, 3}", "{3, 1, 2}"),
        ("{'x': {'a': 1, 'b': 2}, 'y': 0}", "{'y': 0, 'x': {'b': 2, 'a': 1}}"),
        ("took 0.123 s", "took 1.5 seconds"),
        ("timed out after 12ms", "timed out after 450 ms"),
        ("pid 4242 died", "pid 17 died"),
        ("no file /tmp/abc/def.txt", "no file /tmp/xyz/ghi.txt"),
        ("127.0.0.1 port 45123", "127.0.0.1 port 33211"),
        ("at 2026-11-21T10:11:12Z", "at 2025-01-02T03:04:05Z"),
        ("commit 8c77b8cb9188165a123f", "commit 99fcc616d400cd31af07"),
        ("Thread-12 (run) failed", "Thread-3 (run) failed"),
        ("[31mred[0m", "red"),
        ("0.30000000000000004 != x", "0.1999999999999 != x"),
        ("session 1b4e28ba-2fa1-11d2-883f-0016d3cca427", "session 6fa459ea-ee8a-3ca4-894e-db77e160355e"),
        ("a  b\t c", "a b c"),
    ],
)  # fmt: skip
def test_what_varies_is_not_part_of_a_messages_shape(one: str, other: str) -> None:
    assert shape(one.replace("[", "\x1b[", 2) if "[31m" in one else one) == shape(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("404 != 200", "500 != 200"),
        ("cannot import name 'Mapping' from 'collections'", "cannot import name 'Set' from 'collections'"),
        ("[1, 2]", "[2, 1]"),
        ("{'a': 1}", "{'a': 2}"),
        ("expected str, got bytes", "expected bytes, got str"),
        ("utf8", "utf16"),
        ("/usr/lib/x.txt", "/usr/lib/y.txt"),
        ("no attribute 'ast3'", "no attribute 'ast4'"),
    ],
)  # fmt: skip
def test_what_means_something_stays_in_a_messages_shape(one: str, other: str) -> None:
    assert shape(one) != shape(other)


@given(st.text())
def test_a_shape_is_bounded_and_the_same_again(message: str) -> None:
    assert len(shape(message)) <= 600
    assert shape(message) == shape(message)


@given(st.text())
def test_one_line_is_one_line(text: str) -> None:
    made = one_line(text, 50)
    assert len(made) <= 50
    assert made.splitlines() in ([], [made])


@pytest.mark.deep
@pytest.mark.parametrize(
    "piece", ["{", "}", "{,", "0", "a.", "/tmp/", " ", "\n", 'File "', "x:1: ", "0x", "1-"]
)
def test_hostile_messages_take_no_time(piece: str) -> None:
    """No pattern may go through the roof on a text made for it (20,000 characters, the contract's bound).

    Four times the text may cost the processor four times the time, not sixteen; the clock's time is the machine's affair.
    """
    efforts = [effort(piece * (size // len(piece))) for size in (1250, 5000, 20_000)]
    for small, large in pairwise(efforts):
        assert large <= 8 * small + 0.005, efforts


def effort(text: str) -> float:
    """Seconds of the processor for a report of this text, without what other programs take from the caches."""
    failure = contract.Failure(type="E", message=text, detail=text)
    took = []
    for _ in range(3):
        begin = time.thread_time()
        seen(outcome(text, "failed", failure=failure), exit_code=1)
        took.append(time.thread_time() - begin)
    return min(took)


def test_a_suite_that_gives_up_early_is_hollow_also_beside_a_red_test() -> None:
    """Else an already red lane would hide that most of its tests were never run."""
    red = outcome("t::red", "failed")
    few = [outcome(f"t::{n}", "not_run") for n in range(5)]
    assert (
        "<tests>" not in seen(red, *[outcome(f"t::p{n}") for n in range(95)], *few, exit_code=1).bad
    )
    most = seen(red, outcome("t::p"), *few, exit_code=1)
    assert most.bad["<tests>"].kind == "hollow"

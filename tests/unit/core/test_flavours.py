"""Which flavour can be built where."""

from __future__ import annotations

import pytest

from pybots.config.flavours import BUILT_IN
from pybots.core.flavours import compose, needs, refusal
from pybots.core.model import Flavour

JIT, FREE, DEBUG = BUILT_IN["jit"], BUILT_IN["freethreaded"], BUILT_IN["debug"]
NONE: frozenset[str] = frozenset()


def test_the_default_build_is_never_refused() -> None:
    assert refusal(BUILT_IN["release"], (2, 7), NONE) is None


@pytest.mark.parametrize("flavour", [JIT, FREE])
def test_a_flavour_newer_than_the_branch_is_refused(flavour: Flavour) -> None:
    said = refusal(flavour, (3, 12), frozenset({"clang", "clang-18"}))
    assert said == f"{flavour.name} exists since CPython 3.13, this is 3.12"


@pytest.mark.parametrize(
    ("version", "clang"),
    [((3, 13), "clang-18"), ((3, 14), "clang-19"), ((3, 15), "clang-21"), ((3, 20), "clang-21")],
)
def test_the_jit_needs_the_llvm_of_its_branch(version: tuple[int, int], clang: str) -> None:
    assert needs(JIT, version) == (clang,)
    assert refusal(JIT, version, frozenset({clang, "clang"})) is None
    assert refusal(JIT, version, frozenset({"clang"})) == (
        f"jit needs {clang}, which the worker does not have"
    )


def test_an_unknown_version_refuses_nothing_but_a_lacking_compiler() -> None:
    assert refusal(FREE, None, NONE) is None
    assert refusal(JIT, None, NONE) == "jit needs clang, which the worker does not have"


def test_the_jit_without_the_gil_is_refused() -> None:
    both = compose("both", [JIT, FREE], Flavour(name="both"))
    assert "cannot be used with --disable-gil" in str(
        refusal(both, (3, 15), frozenset({"clang-21"}))
    )


def test_composing_keeps_order_and_repeats_nothing() -> None:
    made = compose("x", [FREE, DEBUG, FREE], Flavour(name="x", needs=("g++",)))
    assert made.configure == ("--disable-gil", "--with-pydebug")
    assert (made.since, made.needs) == ((3, 13), ("g++",))

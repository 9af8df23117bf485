"""The admin's word about the farm: known states, one line, a reason unless it is open."""

from __future__ import annotations

import pytest

from pybots.core import tree


def test_a_word_is_kept_on_one_bounded_line() -> None:
    made = tree.word("closed", " disk\nfull " + "x" * 999, "ada\x1b[31m")
    assert made.state == "closed"
    assert "\n" not in made.text and len(made.text) <= tree.MAX_TEXT
    assert "\x1b" not in made.by


def test_open_needs_no_reason() -> None:
    assert tree.word("open", "", "ada") == tree.Word(state="open", text="", by="ada")


@pytest.mark.parametrize(
    ("state", "text", "said"), [("shut", "x", "unknown state"), ("throttled", "  ", "say why")]
)
def test_what_cannot_be_said_is_refused(state: str, text: str, said: str) -> None:
    with pytest.raises(tree.Unfit, match=said):
        tree.word(state, text, "ada")

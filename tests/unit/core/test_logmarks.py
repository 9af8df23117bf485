"""Standard error in a log: each of its lines is marked, wherever it was cut on the way; the text comes out as it went in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pybots.core import logmarks

PIECES = st.lists(st.tuples(st.booleans(), st.text(alphabet="ab\n\x0eé", max_size=8)), max_size=12)


@given(PIECES)
def test_every_line_that_begins_in_standard_error_is_marked(pieces: list[tuple[bool, str]]) -> None:
    kept, fresh, wanted, text = b"", True, [], ""
    for stderr, piece in pieces:
        data = logmarks.encoded(piece)
        for char in data.decode():
            if not text or text[-1] == "\n":
                wanted.append(stderr)
            text += char
        kept += logmarks.marked(data, fresh=fresh) if stderr else data
        fresh = not text or text[-1] == "\n"
    lines = kept.decode().split("\n")
    assert [line.startswith(logmarks.STDERR) for line in lines[: len(wanted)]] == wanted
    assert logmarks.plain(kept).decode() == text


def test_what_a_job_prints_is_never_a_mark() -> None:
    assert logmarks.encoded("\x0enot mine") == "␎not mine".encode()

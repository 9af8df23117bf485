"""A session's journal: nothing that was announced is lost, and what a kill cut off is dropped."""

from __future__ import annotations

from pathlib import Path

from pybots.laptop.journal import open_journal

SESSION = {"axis": "cpython", "first": "a"}


def test_a_session_goes_on_where_it_was(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, SESSION)
    journal.add("seen", index=3, outcome="good", note="\udcff…")
    again = open_journal(tmp_path, SESSION)
    assert [row["index"] for row in again.of("seen")] == [3]
    assert len(list(again.of("session"))) == 1


def test_a_line_that_was_cut_off_is_dropped_and_what_follows_is_whole(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, SESSION)
    journal.add("seen", index=1)
    path = journal.folder / "journal.jsonl"
    for torn in (b'{"row": "seen", "ind', b'{"row": "seen"}', b"\xff\n{}\n"):
        whole = path.read_bytes()
        path.write_bytes(whole + torn)
        again = open_journal(tmp_path, SESSION)
        assert path.read_bytes() == whole
        again.add("seen", index=2)
        assert [row["index"] for row in open_journal(tmp_path, SESSION).of("seen")][-1] == 2


def test_another_question_is_another_session_and_fresh_begins_again(tmp_path: Path) -> None:
    open_journal(tmp_path, SESSION).add("seen", index=1)
    assert not list(open_journal(tmp_path, {**SESSION, "first": "b"}).of("seen"))
    for _ in range(2):
        fresh = open_journal(tmp_path, SESSION, fresh=True)
        assert not list(fresh.of("seen"))
        fresh.add("seen", index=1)

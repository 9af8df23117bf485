"""Delivering into a Maildir: whole, once."""

from __future__ import annotations

import mailbox
from pathlib import Path

from pybots.mail import maildir

MESSAGE = b"From: a@b\r\nSubject: x\r\n\r\nhello\r\n"


def test_a_mail_reader_finds_the_message(tmp_path: Path) -> None:
    maildir.deliver(tmp_path / "mail", MESSAGE, key="<1@x>", at=5.0)
    (found,) = mailbox.Maildir(tmp_path / "mail")
    assert found["Subject"] == "x"
    assert found.get_payload() == "hello\n"


def test_the_same_letter_is_there_once_however_often_it_is_tried(tmp_path: Path) -> None:
    """Also when the reader has moved it to `cur` in between."""
    first = maildir.deliver(tmp_path, MESSAGE, key="<1@x>", at=5.0)
    assert maildir.deliver(tmp_path, MESSAGE, key="<1@x>", at=5.0) == first
    first.rename(tmp_path / "cur" / f"{first.name}:2,S")
    maildir.deliver(tmp_path, MESSAGE, key="<1@x>", at=5.0)
    assert list((tmp_path / "new").iterdir()) == list((tmp_path / "tmp").iterdir()) == []
    maildir.deliver(tmp_path, MESSAGE, key="<2@x>", at=5.0)
    assert len(list((tmp_path / "new").iterdir())) == 1

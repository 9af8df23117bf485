"""people.toml: who asked to be written to, and every mistake at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from pybots.config.errors import ConfigErrors
from pybots.config.people import load_people

GOOD = """\
[person.ada]
commits = ["Ada@users.example.org", "ada@example.org"]
mail = "ada@example.org"
"""


def test_without_a_file_nobody_is_written_to(tmp_path: Path) -> None:
    assert load_people(tmp_path / "people.toml") == {}


def test_every_address_of_a_persons_commits_leads_to_their_letter_box(tmp_path: Path) -> None:
    (tmp_path / "people.toml").write_text(GOOD)
    assert load_people(tmp_path / "people.toml") == {
        "ada@users.example.org": "ada@example.org", "ada@example.org": "ada@example.org",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("mail =", "mial ="), "mial"),
        ('[person.ada]\ncommits = []\nmail = "a@example.org"\n', "commits"),
        (GOOD + '[person.bob]\ncommits = ["ADA@example.org"]\nmail = "b@example.org"\n', "is also ada's"),
        (GOOD.replace('mail = "ada@example.org"', 'mail = "ada"'), "mail"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "people.toml").write_text(text)
    with pytest.raises(ConfigErrors, match=said):
        load_people(tmp_path / "people.toml")

"""Letters: text first, 78 columns, threads, and nothing a worker says can break out of its place."""

from __future__ import annotations

import email
import email.policy
import shlex
from dataclasses import replace
from email.message import EmailMessage
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybots.core.alerts import Topic
from pybots.mail import compose, message
from pybots.mail.compose import CommitLine, Facts, Failing
from pybots.mail.message import Envelope

SHA = "0123456789abcdef0123456789abcdef01234567"
FACTS = Facts(
    project="anchor", title="Anchor", source="", revision="1.0", revision_before="1.0", branch="main",
    flavour="release", platform="linux-x86_64", python="3.15.0a1+ (main)",
    commit=CommitLine(sha=SHA, author="Ada Lovelace", title="gh-1: Remove it"), since_good=True,
    commits=(CommitLine(sha=SHA, author="Ada Lovelace", title="gh-1: Remove it"),),
    failing=(Failing(id="tests/test_a.py::test_b", error="TypeError: unhashable type", kind="test"),),
    more=0, tail="Traceback\n  File x\nTypeError: unhashable type", fixed=("TypeError: unhashable type",),
    url="https://pybots.example.org/", run=12, breakages=(3,),
    repository="https://github.com/python/cpython", worker="attic",
)  # fmt: skip
ENVELOPE = Envelope(
    message_id="<a@example.org>", thread="<a@example.org>", sender="pybots@example.org", name="Pybots",
    list="pybots@lists.example.org", recipients=("pybots@lists.example.org", "ada@example.org"),
    at=1_700_000_000.0, url="https://pybots.example.org/", run=12, topic="new",
)  # fmt: skip
TOPICS: tuple[Topic, ...] = get_args(Topic)


def text(topic: Topic = "new", **changes: Any) -> tuple[str, str]:
    return compose.text(topic, replace(FACTS, **changes))


def parsed(subject: str = "s", body: str = "b\n", **changes: Any) -> EmailMessage:
    data = message.message(replace(ENVELOPE, **changes), subject, body)
    made = email.message_from_bytes(data, policy=email.policy.SMTP)
    assert isinstance(made, EmailMessage)
    return made


def test_a_new_failures_letter_says_what_where_who_and_how_to_see_it() -> None:
    subject, body = text()
    assert (
        subject == "[Pybots] anchor: test_b fails on main at 0123456789ab (release, linux-x86_64)"
    )
    for part in (
        "Anchor 1.0 fails newly on CPython main",
        "  TypeError: unhashable type\n      tests/test_a.py::test_b",
        "  | TypeError: unhashable type",
        "One commit since it was last seen good:\n\n  0123456789ab  Ada Lovelace\n      gh-1: Remove it",
        f"Commit:    {SHA} (release)",
        "https://pybots.example.org/run/12",
        "https://pybots.example.org/breakage/3",
    ):
        assert part in body


@pytest.mark.parametrize(
    ("repository", "flavour", "source"),
    [
        ("https://github.com/python/cpython", "release", ""),
        ("/home/me/my cpython", "freethreaded", "trunk"),
    ],
)
def test_one_command_runs_it_locally(repository: str, flavour: str, source: str) -> None:
    """Copied with its continuation lines, a shell sees exactly one command."""
    _, body = text(repository=repository, flavour=flavour, source=source)
    command = body.partition("  ./pybots")[1:]
    words = shlex.split("".join(command).partition("\n\n")[0].replace("\\\n", ""))
    assert words[:3] == ["./pybots", "try", "anchor"]
    options = dict(zip(words[3::2], words[4::2], strict=True))
    expected = {"--cpython": repository, "--commit": SHA, "--flavour": flavour}
    assert options == expected | ({"--source": source} if source else {})


def test_an_interpreters_letter_gives_the_commands_that_build_it() -> None:
    _, body = text("unbuilt", project="", title="", revision="", configure=("--with-pydebug",))
    assert f"git checkout {SHA} && ./configure \\\n      --with-pydebug && make" in body


def test_ten_tests_are_shown_and_the_others_counted() -> None:
    failing = tuple(Failing(id=f"t::test_{n}", error="E", kind="test") for n in range(1234))
    subject, body = text(failing=failing, more=7)
    assert "1,234 tests fail" in subject
    assert "t::test_9\n" in body and "t::test_10\n" not in body
    assert "… and 1,224 more" in body
    assert "7 more failed before already" in body


def test_a_long_range_is_shown_from_its_newest_end_and_counted() -> None:
    commits = tuple(CommitLine(sha=f"{n:040x}", author="A", title=f"c{n}") for n in range(45))
    _, body = text(commits=commits)
    assert "45 commits since it was last seen good" in body
    assert "… and 35 older ones" in body


def test_a_change_of_the_project_in_between_is_said() -> None:
    _, body = text(revision="1.1", commits=())
    assert "No CPython commit lies between" in body
    assert "The project changed too in between: from 1.0 to 1.1." in body


def test_no_range_is_made_up_where_nothing_good_is_known() -> None:
    assert "No earlier good commit is known" in text(since_good=False, commits=())[1]


@pytest.mark.parametrize(
    ("kind", "id", "words"),
    [
        ("install", "<install>", "anchor: does not install on main"),
        ("crash", "t::test_x", "anchor: test_x crashes on main"),
        ("timeout", "t::test_x", "anchor: test_x hangs on main"),
        ("collection", "t.py", "anchor: t.py cannot be collected on main"),
        ("hollow", "t::test_x", "anchor: 1 test vanished or skipped on main"),
        ("hollow", "<tests>", "anchor: no tests ran on main"),
    ],
)
def test_the_subject_names_the_kind(kind: str, id: str, words: str) -> None:
    assert words in text(failing=(Failing(id=id, error="no tests ran", kind=kind),))[0]


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_has_a_subject_and_a_body_of_78_columns(topic: Topic) -> None:
    wide = "x" * 300
    subject, body = text(
        topic, title=wide, revision=wide, python=wide, tail=f"{wide}\n{wide}", fixed=(wide,),
        failing=(Failing(id=wide, error=wide, kind="test"),) * 3,
        commits=(CommitLine(sha=SHA, author=wide, title=wide),) * 3,
    )  # fmt: skip
    assert len(subject) <= message.MAX_SUBJECT
    assert max(len(line) for line in body.splitlines()) <= 78
    assert body.endswith("\n")


def test_headers() -> None:
    made = parsed("Hello")
    assert made["From"] == "Pybots <pybots@example.org>"
    assert made["To"] == "pybots@lists.example.org"
    assert made["Cc"] == "ada@example.org"
    assert made["Message-ID"] == "<a@example.org>"
    assert made["Auto-Submitted"] == "auto-generated"
    assert made["List-Id"] == "<pybots.lists.example.org>"
    assert made["Date"].datetime.timestamp() == ENVELOPE.at
    assert made["In-Reply-To"] is None
    assert made.get_content_type() == "text/plain"


def test_an_answer_is_in_its_thread() -> None:
    made = parsed(message_id="<b@example.org>")
    assert made["In-Reply-To"] == made["References"] == "<a@example.org>"


def test_a_letter_that_does_not_go_to_the_list_does_not_say_so() -> None:
    made = parsed(recipients=("root@example.org",))
    assert (made["To"], made["Cc"], made["List-Id"]) == ("root@example.org", None, None)


def test_a_message_id_is_the_same_whenever_it_is_asked_for() -> None:
    one = message.message_id("new:1", "https://a/", "p@x.org")
    assert one == message.message_id("new:1", "https://a/", "p@x.org")
    assert one.endswith("@x.org>")
    others = [("new:2", "https://a/"), ("new:1", "https://b/")]
    assert all(message.message_id(key, farm, "p@x.org") != one for key, farm in others)


EVIL = [
    "x\r\nBcc: victim@example.org\r\n\r\nhello", "x\nSubject: other", "\x00\x1b[31m\x07", "‮gnp.exe",
    "--=boundary\n\n.\n", "From me", ".\r\nQUIT\r\n", "<script>alert(1)</script>", "\udce9\udfff",
    "=?utf-8?q?=0ABcc:_x@y?=", "a" * 20_000, "\N{PILE OF POO}" * 500,
]  # fmt: skip


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("evil", EVIL)
def test_hostile_words_stay_in_their_place(topic: Topic, evil: str) -> None:
    """Test names, errors, titles, authors, revisions: whatever they hold, the message's structure is ours."""
    subject, body = text(
        topic, revision=evil, revision_before="0", python=evil, tail=f"{evil}\n{evil}", fixed=(evil,),
        commit=CommitLine(sha=SHA, author=evil, title=evil),
        commits=(CommitLine(sha=SHA, author=evil, title=evil),),
        failing=(Failing(id=evil, error=evil, kind="test"),),
    )  # fmt: skip
    data = message.message(ENVELOPE, subject, body)
    assert all(len(line) <= 998 for line in data.split(b"\r\n"))
    assert b"\n" not in data.replace(b"\r\n", b"")
    data.decode("ascii")
    made = email.message_from_bytes(data, policy=email.policy.SMTP)
    assert made.keys() == parsed("Hello").keys()
    assert made["Bcc"] is None
    assert not made.is_multipart()
    assert max(len(line) for line in body.splitlines()) <= 78
    lines = set(body.split("\n"))
    assert not lines & {"Bcc: victim@example.org", "Subject: other", "."}


@given(st.text(), st.text())
def test_any_text_can_be_sent_and_comes_back(subject: str, body: str) -> None:
    made = parsed(subject, compose.text("new", replace(FACTS, tail=body))[1])
    assert "\n" not in made["Subject"]
    assert made.get_content().endswith("\n")


def test_tests_with_one_error_stand_under_it_and_keep_their_ends() -> None:
    """A parametrised file of long names stays readable: the error once, and what tells the tests apart."""
    long = "tests/" + "x" * 80 + "::test_serializer"
    failing = tuple(
        Failing(id=f"{long}[{n}]", error="TypeError: msg", kind="test") for n in range(12)
    )
    _, body = text(failing=failing)
    assert body.count("  TypeError: msg\n") == 1
    assert "::test_serializer[9]\n" in body
    assert "… and 2 more" in body
    assert all(len(line) <= 78 for line in body.splitlines())

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

from pybots.core.alerts import Alarm
from pybots.core.audiences import DAY
from pybots.core.digest import Changed, Flaky, Gone, Parked, Standing, Week
from pybots.core.evidence import Line
from pybots.core.rounds import Change, Topic
from pybots.mail import alarms, compose, digests, issues, message
from pybots.mail.message import Envelope
from pybots.mail.story import Announcement, CommitLine, Finding, Row, Story

SHA = "0123456789abcdef0123456789abcdef01234567"
COMMIT = CommitLine(sha=SHA, author="Ada Lovelace", title="gh-1: Remove it")
ROW = Row(
    breakage=3, change="opened", project="anchor", title="Anchor", kind="test",
    error="TypeError: unhashable type", failing=("tests/test_a.py::test_b",), count=1, run=12, lanes=1,
    flavour="release", platform="linux-x86_64", sha=SHA, python="3.15.0a1+ (main)", revision="1.0",
    before="1.0", control="green", control_run=14, tail="Traceback\n  File x\nTypeError: unhashable type",
)  # fmt: skip
STORY = Story(
    topic="opened", audience="list", rows=(ROW,), branch="main", commit=COMMIT, since_good=True,
    url="https://pybots.example.org/", repository="https://github.com/python/cpython", thread=3,
    commits=(COMMIT,),
)  # fmt: skip
ENVELOPE = Envelope(
    message_id="<a@example.org>", thread="<a@example.org>", sender="pybots@example.org", name="Pybots",
    list="pybots@lists.example.org", recipients=("pybots@lists.example.org",),
    at=1_700_000_000.0, url="https://pybots.example.org/", run=12, topic="opened",
    unsubscribe="https://lists.example.org/leave",
)  # fmt: skip
TOPICS: tuple[Topic, ...] = get_args(Topic)
CHANGES: tuple[Change, ...] = get_args(Change)
ALARMS: tuple[Alarm, ...] = get_args(Alarm)


def text(
    topic: Topic = "opened", rows: tuple[Row, ...] | None = None, **changes: Any
) -> tuple[str, str]:
    """Changes of the story, or of its only row."""
    of_story = {name: changes.pop(name) for name in list(changes) if hasattr(STORY, name)}
    shown = rows if rows is not None else (replace(ROW, **changes),)
    return compose.text(replace(STORY, topic=topic, rows=shown, **of_story))


def parsed(subject: str = "s", body: str = "b\n", **changes: Any) -> EmailMessage:
    data = message.message(replace(ENVELOPE, **changes), subject, body)
    made = email.message_from_bytes(data, policy=email.policy.SMTP)
    assert isinstance(made, EmailMessage)
    return made


def test_a_letter_says_what_where_who_how_sure_and_how_to_see_it() -> None:
    subject, body = text()
    assert (
        subject == "[Pybots] anchor: test_b fails on main at 0123456789ab (release, linux-x86_64)"
    )
    for part in (
        "Anchor 1.0 fails newly on CPython main",
        "  TypeError: unhashable type\n      tests/test_a.py::test_b",
        "  | TypeError: unhashable type",
        "One commit since it was last seen good:\n\n  0123456789ab  Ada Lovelace\n      gh-1: Remove it",
        "Tried: failing tests were run again in the same build.",
        "Confirmed.",
        f"Commit:    {SHA}",
        "https://pybots.example.org/run/12",
        "https://pybots.example.org/breakage/3",
        "https://pybots.example.org/breakage/3#issue",
    ):
        assert part in body


def test_a_failure_that_was_run_once_more_says_what_came_of_it() -> None:
    """The control passes; whether the new combination fails twice is a question of its own."""
    _, body = text(control="green", again_run=31)
    flat = " ".join(body.split())
    assert "run once more and failed again (https://pybots.example.org/run/31). Confirmed." in flat
    _, body = text(control="green", sure=False)
    flat = " ".join(body.split())
    assert "Confirmed" not in flat and "this is a suspicion until it has" in flat


FOUND = Finding(
    axis="cpython", id=SHA, title="gh-1: Remove it", author="Ada Lovelace", confidence=0.9876,
    reason="on workers of 2 owners, parent: 3 passed, 0 failed; culprit: 0 passed, 4 failed",
    evidence=(
        Line(what="ffff12345678 gh-0: Before", passed=3, failed=0, owners=("Ann", "Bob"), says="has not got it"),
        Line(what="0123456789ab gh-1: Remove it", passed=0, failed=4, skipped=1),
    ),
    files=tuple(f"Lib/a{number}.py" for number in range(10)),
    announced=Announcement(file="Doc/whatsnew/3.15.rst", line=8, quote="* Remove it.\n  Use that."),
)  # fmt: skip


def test_a_commit_that_was_found_is_told_with_its_proof() -> None:
    subject, body = text("known", finding=FOUND, axis="cpython", blamed=SHA)
    assert subject.startswith("[Pybots] anchor: its commit is found on main at 0123456789ab")
    flat = " ".join(body.split())
    for part in (
        'CPython\'s commit of main 0123456789ab "gh-1: Remove it" by Ada Lovelace is what broke Anchor 1.0',
        "proved by experiment, confidence 98.7 %. It is an announced change.",
        "… and 2 more files",
        "in Doc/whatsnew/3.15.rst:8: | * Remove it. | Use that.",
        "On workers of 2 owners, parent: 3 passed, 0 failed; culprit: 0 passed, 4 failed.",
        "./pybots try anchor",
    ):
        assert part in flat, body
    assert "       3       –  ffff12345678 gh-0: Before\n" in body
    assert "(1 could not be tested)" in body
    assert "Commits" not in body and "commits since" not in body, "no range any more"
    assert all(len(line) <= 78 for line in body.splitlines())


def test_hostile_words_of_a_commit_stay_in_their_lines() -> None:
    bad = "x\n--\nFrom: me\r\n\x1b[31m" + "y" * 300
    found = replace(
        FOUND, title=bad, author=bad, files=(bad,), reason=bad,
        evidence=(Line(what=bad, passed=1, failed=0, owners=(bad,)),),
        announced=Announcement(file=bad, line=1, quote=bad),
    )  # fmt: skip
    _, body = text("known", finding=found, axis="cpython", blamed=SHA)
    assert all(len(line) <= 78 for line in body.splitlines())
    assert body.count("\n--\n") == 1 and "\x1b" not in body and "\nFrom" not in body


@pytest.mark.parametrize(
    ("control", "sure", "words", "subject_says"),
    [
        ("green", True, "Confirmed.", ""),
        (
            "none",
            True,
            "gave no answer (https://pybots.example.org/run/14), so the environment may have",
            "",
        ),
        (
            "none",
            False,
            "not yet been run once more within the hour: this is a suspicion",
            ", not confirmed yet",
        ),
        ("wanted", False, "this is a suspicion until it has", ", not confirmed yet"),
    ],
)
def test_how_sure_it_is_is_said(control: str, sure: bool, words: str, subject_says: str) -> None:
    subject, body = text(control=control, sure=sure)
    assert words in " ".join(body.split())
    assert ("not confirmed yet" in subject) is bool(subject_says)


def test_forty_projects_are_forty_rows_and_one_subject() -> None:
    rows = tuple(
        replace(ROW, project=f"project-{n}", breakage=n, run=100 + n, error=f"Error {n}: x")
        for n in range(1, 41)
    )
    subject, body = text(rows=rows)
    assert (
        subject
        == "[Pybots] 40 projects: newly broken on main at 0123456789ab (release, linux-x86_64)"
    )
    assert "project-1, project-2, project-3 and 37 others fail newly" in " ".join(body.split())
    assert all(f"  project-{n} " in body for n in range(1, 41))
    assert "… and 35 other errors" in body
    assert body.count("The very same on your machine") == 1


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


BUILD = replace(
    ROW, project="", title="", kind="interpreter", revision="", before="", control="none",
    failing=("release.linux-x86_64",), configure=("--with-pydebug",),
)  # fmt: skip


def test_an_interpreters_letter_gives_the_commands_that_build_it() -> None:
    subject, body = text(rows=(BUILD,))
    assert "[Pybots] CPython: does not build on main at 0123456789ab" in subject
    assert f"git checkout {SHA} && ./configure \\\n      --with-pydebug && make" in body
    assert "in the build of release.linux-x86_64" in body
    assert "builds again" in text("fixed", rows=(BUILD,))[0]


def test_an_interpreter_that_only_does_not_install_is_told_so() -> None:
    """Its own tests may well pass in the build tree: a reader who builds it there must not think us wrong."""
    row = replace(BUILD, phase="install")
    subject, body = text(rows=(row,))
    assert "[Pybots] CPython: does not install on main" in subject
    assert body.startswith("CPython main builds, but does not install at ")
    assert '&& make install DESTDIR="$PWD/installed"' in " ".join(body.split())
    subject, body = text("fixed", rows=(row,))
    assert "installs again" in subject and " installs again" in " ".join(body.split())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "collection", "count": 2}, "anchor: 2 test modules cannot be collected on main"),
        ({"kind": "memory"}, "test_b runs out of memory on main"),
        (
            {"kind": "hollow", "failing": ("<extension a._b>",), "error": "extension module a._b: is missing"},
            "anchor: compiled a._b is missing on main",
        ),
        (
            {"kind": "hollow", "failing": ("<tests>",), "error": "the suite as a whole: no tests ran"},
            "anchor: no tests ran on main",
        ),
    ],
)  # fmt: skip
def test_subjects_say_what_is_wrong(changes: dict[str, Any], said: str) -> None:
    assert said in text(**changes)[0]


def test_a_dependencys_own_failure_is_said_to_be_that() -> None:
    _, body = text(axis="dependency", blamed="resin", control="green")
    assert "in the dependency resin, not in the project's own code" in body


def test_ten_tests_are_shown_and_the_others_counted() -> None:
    failing = tuple(f"t::test_{n}" for n in range(12))
    subject, body = text(failing=failing, count=1234)
    assert "1,234 tests fail" in subject
    assert "t::test_9\n" in body and "t::test_10\n" not in body
    assert "… and 1,224 more" in body


def test_a_long_range_is_shown_from_its_newest_end_and_counted() -> None:
    commits = tuple(CommitLine(sha=f"{n:040x}", author="A", title=f"c{n}") for n in range(45))
    _, body = text(commits=commits, commits_left_out=100)
    assert "145 commits since it was last seen good" in body
    assert "… and 135 older ones" in body


def test_a_change_of_the_project_in_between_is_said() -> None:
    _, body = text(revision="1.1", commits=())
    assert "No CPython commit lies between" in body
    assert "anchor changed too in between: from 1.0 to 1.1." in body


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
    assert words in text(failing=(id,), error="no tests ran", kind=kind)[0]


@pytest.mark.parametrize(
    ("topic", "subject", "words"),
    [
        ("fixed", "anchor: fixed on main", "Anchor 1.0 is good again on CPython main"),
        ("again", "anchor: test_b fails again on main", "it had been fixed"),
        ("withdrawn", "anchor: withdrawn, it was not CPython", "was not CPython's doing"),
        ("known", "anchor: confirmed on main", "a control run confirmed it"),
        ("pointer", "anchor: the same cause as another thread's", "/breakage/9"),
    ],
)
def test_later_news_say_what_they_are(topic: Topic, subject: str, words: str) -> None:
    found = text(topic, goes_on=9)
    assert subject in found[0] and words in " ".join(found[1].split())


def test_a_test_that_is_skipped_now_is_not_said_to_pass() -> None:
    subject, body = text("fixed", failing=("t::a", "t::b"), count=2, skipped=2)
    words = " ".join(body.split())
    assert "anchor: skipped now on main" in subject and "good again" not in words
    assert "Anchor 1.0 now skips what failed on CPython main" in words
    assert "(2 tests skipped now)" in words
    subject, body = text("fixed", failing=("t::a", "t::b"), count=2, skipped=1)
    assert "fixed" in subject and "good again" in body and "(1 test skipped now)" in body


def test_a_blamed_dependency_is_named() -> None:
    subject, body = text("known", axis="dependency", blamed="numpy 3.0")
    assert "caused by numpy 3.0" in subject and "it is the dependency numpy 3.0" in body


def test_links_that_act_are_in_a_persons_copy_only() -> None:
    link = "https://pybots.example.org/answer?t=3-1-x-y"
    assert link in text(audience="person", project="anchor", answers=((3, link),))[1]
    assert "answer?t=" not in text()[1]


def test_what_a_cap_held_back_is_counted() -> None:
    assert "3 letters to you were held back" in " ".join(text(held_back=3)[1].split())


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_has_a_subject_and_a_body_of_78_columns(topic: Topic) -> None:
    wide = "x" * 300
    row = replace(
        ROW, title=wide, revision=wide, before="0", python=wide, error=wide, failing=(wide,) * 3,
        tail=f"{wide}\n{wide}", axis="dependency", blamed=wide,
    )  # fmt: skip
    rows = (row, replace(row, project="p" * 80, breakage=4, lanes=7))
    subject, body = text(
        topic, rows=rows, commits=(CommitLine(sha=SHA, author=wide, title=wide),) * 3
    )
    assert len(subject) <= message.MAX_SUBJECT
    assert max(len(line) for line in body.splitlines()) <= 78
    assert body.endswith("\n")


def test_headers() -> None:
    made = parsed("Hello")
    assert made["From"] == "Pybots <pybots@example.org>"
    assert made["To"] == "pybots@lists.example.org"
    assert made["Message-ID"] == "<a@example.org>"
    assert made["Auto-Submitted"] == "auto-generated"
    assert made["List-Id"] == "<pybots.lists.example.org>"
    assert made["List-Unsubscribe"] == "<https://lists.example.org/leave>"
    assert made["List-Archive"] == "<https://pybots.example.org/mail>"
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
    "=?utf-8?q?=0ABcc:_x@y?=", "a" * 20_000, "\N{PILE OF POO}" * 500, "x\u2028Bcc: y\x85z\x0bw\x0c",
]  # fmt: skip
STRUCTURE = {
    "Bcc: victim@example.org", "Subject: other", ".", "Bcc: y",
}  # fmt: skip


def harmless(subject: str, body: str) -> None:
    data = message.message(ENVELOPE, subject, body)
    assert all(len(line) <= 998 for line in data.split(b"\r\n"))
    assert b"\n" not in data.replace(b"\r\n", b"")
    data.decode("ascii")
    made = email.message_from_bytes(data, policy=email.policy.SMTP)
    assert made.keys() == parsed("Hello").keys()
    assert made["Bcc"] is None
    assert not made.is_multipart()
    assert max(len(line) for line in body.splitlines()) <= 78
    assert not set(body.split("\n")) & STRUCTURE


@pytest.mark.deep
@pytest.mark.parametrize("topic", TOPICS)
def test_hostile_words_stay_in_their_place(topic: Topic) -> None:
    """Test names, errors, titles, authors, revisions: whatever they hold, the message's structure is ours."""
    for evil in EVIL:
        _stays_in_its_place(topic, evil)


def _stays_in_its_place(topic: Topic, evil: str) -> None:
    line = CommitLine(sha=SHA, author=evil, title=evil)
    row = replace(
        ROW, error=evil, failing=(evil,), revision=evil, before="0", python=evil, tail=f"{evil}\n{evil}",
        axis="dependency", blamed=evil, title=evil,
    )  # fmt: skip
    rows = (row, replace(row, project="buoy", breakage=4))
    harmless(*text(topic, rows=rows, commit=line, commits=(line,)))
    harmless(*text(topic, rows=(row,), commit=line, commits=(line,)))


@pytest.mark.deep
@pytest.mark.parametrize("topic", ALARMS)
@pytest.mark.parametrize("state", ["open", "farm"])
def test_the_farms_own_letters_are_as_harmless(topic: Alarm, state: str) -> None:
    for evil in ("plain", *EVIL):
        _is_harmless(topic, evil, state)


def _is_harmless(topic: Alarm, evil: str, state: str) -> None:
    facts = alarms.Facts(
        audience="admin", url="https://x/", worker="attic", branch="main",
        commit=CommitLine(sha=SHA, author=evil, title=evil), row=replace(ROW, error=evil, tail=f"{evil}\n{evil}"),
        repository="/x", lines=(evil,) * 30, state=state, scope="worker attic", words=evil, where="/run/3",
        held_back=2,
    )  # fmt: skip
    harmless(*alarms.text(topic, facts))


WEEK = Week(
    now=100 * DAY,
    standing=(
        Standing(id=1, title="new", projects=("anchor",), since=99 * DAY),
        Standing(id=2, title="old and untriaged", projects=("buoy",), since=30 * DAY, lanes=3),
        Standing(id=3, title="answered", projects=(), since=1 * DAY, disposition="python", person="Ada"),
    ),
    opened=4, fixed=2, dismissed=1, runs=1000, unknown=7, infra=3, held_back=5,
    parked=(Parked(lane="anchor.release.main.debug.linux-x86_64", since=90 * DAY),),
    flaky=(Flaky(lane="buoy.lane", test="t.py::test_x", times=12),),
    gone=(Gone(worker="attic", last_seen=95 * DAY), Gone(worker="new", last_seen=None)),
)  # fmt: skip


def test_the_weekly_digest_leads_with_what_nobody_answered_the_oldest_loudest() -> None:
    subject, body = digests.weekly(WEEK, "https://x/", "2026-01-31")
    assert subject == "[Pybots] week to 2026-01-31: 3 breakages open, 2 untriaged"
    assert body.index("old and untriaged") < body.index(": new") < body.index("answered")
    assert "!!!! 10 weeks: old and untriaged" in body and "  1 day: new" in body
    words = " ".join(body.split())
    for part in ("python, Ada", "parked", "12 x t.py::test_x", "attic gone for 5 days", "7 runs",
                 "3 runs", "5 letters held back"):  # fmt: skip
        assert part in words or part.capitalize() in words, part
    assert max(len(line) for line in body.splitlines()) <= 78


@pytest.mark.deep
@pytest.mark.parametrize("evil", EVIL)
def test_digests_are_as_harmless(evil: str) -> None:
    week = replace(
        WEEK,
        standing=(replace(WEEK.standing[0], title=evil, person=evil, issue="https://x/"),),
        flaky=(Flaky(lane="l", test=evil, times=1),),
    )
    harmless(*digests.weekly(week, "https://x/", "2026-01-31"))
    changed = [
        Changed(id=1, title=evil, what=what, at=1.0, projects=("a",))
        for what in ("opened", "fixed")
    ]
    for project in ("", "anchor"):
        harmless(*digests.daily(changed, "https://x/", "2026-01-31", project=project))


@given(st.text(), st.text())
def test_any_text_can_be_sent_and_comes_back(subject: str, body: str) -> None:
    made = parsed(subject, text(tail=body)[1])
    assert "\n" not in made["Subject"]
    assert made.get_content().endswith("\n")


def test_breakages_that_say_the_same_are_said_once() -> None:
    """Told apart by their frames, which no reader of a letter sees."""
    same = [replace(ROW, breakage=n, failing=(f"t::test_{n}",), lanes=n % 3) for n in range(1, 8)]
    other = replace(ROW, breakage=9, failing=("t::other",), error="ValueError: no")
    _, body = text(rows=(*same, other))
    assert "8 breakages in this thread's news:" in body
    assert "  anchor  TypeError: unhashable type (7 breakages, 2 lanes)\n" in body
    assert body.count("TypeError: unhashable type") == 3, (
        "in the table, above its tests, and in the tail"
    )
    assert all(f"      t::test_{n}\n" in body for n in range(1, 8)) and "other error" not in body


def test_tests_with_one_error_keep_their_ends() -> None:
    """A parametrised file of long names stays readable: the error once, and what tells the tests apart."""
    long = "tests/" + "x" * 80 + "::test_serializer"
    failing = tuple(f"{long}[{n}]" for n in range(12))
    _, body = text(failing=failing, count=12, error="TypeError: msg", tail="")
    assert body.count("  TypeError: msg\n") == 1
    assert "::test_serializer[9]\n" in body
    assert "… and 2 more" in body
    assert all(len(line) <= 78 for line in body.splitlines())


# Issue texts


def test_an_issue_text_has_all_that_a_tracker_asks_for() -> None:
    title, body = issues.issue(STORY, about="python")
    assert title == "TypeError: unhashable type in Anchor since 0123456789ab"
    for part in ("TypeError: unhashable type", SHA, "gh-1: Remove it", "./pybots try anchor", "/breakage/3",
                 "passed"):  # fmt: skip
        assert part in body
    assert issues.issue(STORY, about="project")[0] == "CPython main: TypeError: unhashable type"


@pytest.mark.parametrize("evil", [*EVIL, "```\n# Owned\n```", "````` x"])
def test_hostile_words_stay_in_their_fence(evil: str) -> None:
    row = replace(ROW, error=evil, failing=(evil,), tail=f"{evil}\n{evil}")
    _, body = issues.issue(replace(STORY, rows=(row,)), about="project")
    fences = [line for line in body.split("\n") if line.startswith("```")]
    inside: str = ""
    for line in body.split("\n"):
        ticks = line.removesuffix("text")
        if not inside and ticks and set(ticks) == {"`"}:
            inside = ticks
        elif inside and line == inside:
            inside = ""
        elif not inside:
            assert "Owned" not in line and "<script>" not in line
    assert fences and not inside

"""Other people's text is harmless, our numbers are readable, addresses are safe."""

from __future__ import annotations

import pytest

from pybots_status import links, logs, text
from pybots_status.pages import TestCounts


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain ünïcode ✓", "plain ünïcode ✓"),
        ("tab\tand\nnewline", "tab\tand\nnewline"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;a title\x07x", "x"),
        ("\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b(Bx", "x"),
        ("\x1b[31", "␛[31"),
        ("over\rtyped", "over␍typed"),
        ("windows\r\nline", "windows\nline"),
        ("\x00\x07\x7f", "␀␇␡"),
        ("\x9b31m", "�31m"),
        ("\u202egnp.exe", "�gnp.exe"),
        ("\ud800", "�"),
    ],
)
def test_clean(raw: str, shown: str) -> None:
    assert text.clean(raw) == shown


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ("see https://farm.test/run/7.", ["https://farm.test/run/7"]),
        ("<http://a.test/x> and (https://b.test)", ["http://a.test/x", "https://b.test"]),
        ("javascript:alert(1) file:///etc/passwd www.a.test", []),
        ("", []),
    ],
)
def test_web_addresses_in_a_text_are_found_and_nothing_is_lost(raw: str, found: list[str]) -> None:
    pieces = list(text.addresses(raw))
    assert "".join(words for words, _ in pieces) == raw
    assert [address for _, address in pieces if address] == found


def test_clean_is_linear_in_an_unfinished_escape() -> None:
    assert len(text.clean("\x1b]" * 50_000 + "\x1b[" * 50_000)) == 200_000


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "< 0.01 s"), (0.04, "0.04 s"), (4.21, "4.2 s"), (48, "48 s"), (200, "3 m 20 s"), (3900, "1 h 05 m"), (183_600, "2 d 3 h")],
)  # fmt: skip
def test_duration(seconds: float, shown: str) -> None:
    assert text.duration(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (812, "812 B"), (64_000, "64 kB"), (24_100_000, "24.1 MB"), (3 * 10**12, "3.0 TB"), (9 * 10**16, "90000 TB")]
)  # fmt: skip
def test_size(count: int, shown: str) -> None:
    assert text.size(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(3, "just now"), (60, "1 minute ago"), (7300, "2 hours ago"), (86_400, "1 day ago")]
)  # fmt: skip
def test_ago(seconds: float, shown: str) -> None:
    assert text.ago(seconds) == shown


def test_counts_put_the_bad_first_and_leave_zeros_out() -> None:
    assert text.counts(TestCounts(passed=1412, failed=3)) == "3 failed, 1,412 passed"
    assert text.counts(TestCounts()) == "no tests ran"
    assert text.counts(None) == ""


def test_times_are_utc() -> None:
    assert text.utc(1_777_643_000) == "2026-05-01 13:43"
    assert text.iso(1_777_643_000) == "2026-05-01T13:43:20Z"
    assert text.clock(1_777_643_000.9) == "13:43:20"
    assert text.day(0) == "1970-01-01"


def test_the_tail_of_a_log_is_bounded_and_numbered() -> None:
    log = logs.tail("".join(f"line {n}\n" for n in range(1, 1001)), keep=10, first=51)
    assert [line.number for line in log.lines] == list(range(1041, 1051))
    assert log.lines[-1].text == "line 1000"
    assert log.left_out == 1040


def test_a_log_without_a_newline_is_cut() -> None:
    (line,) = logs.tail("x" * 1_000_000).lines
    assert line.text.endswith("… 998,000 more characters")
    assert len(line.text) < 2100


def test_an_empty_log_has_no_lines() -> None:
    assert logs.tail("").lines == ()


@pytest.mark.parametrize(
    "address", ["/", "/run/7?x=1#l", "#test-12", "https://a.example/x", "http://a.example"]
)
def test_our_own_and_http_addresses_are_safe(address: str) -> None:
    assert links.safe(address) == address


@pytest.mark.parametrize(
    "address", ["", "JaVaScRiPt:x", "java\nscript:x", "\x01javascript:x", "data:text/html,x", "/\t/a", "http:a", "javascript:x", "//a", "/\\a", "ftp://a/", "https:", "https://", "run/7", "/a b", "/a\n", "mailto:x", "http://[x"]
)  # fmt: skip
def test_other_addresses_are_not(address: str) -> None:
    assert links.safe(address) == ""


def test_names_cannot_leave_their_folder() -> None:
    assert links.worker("../../etc?x#y") == "/worker/..%2F..%2Fetc%3Fx%23y"
    assert links.run_log(7, "a/b") == "/run/7/log/a%2Fb"
    assert links.lane("twisted.release.main.debug.linux-x86_64").endswith("linux-x86_64")


def test_queries_leave_out_what_says_nothing() -> None:
    assert links.console() == "/"
    assert links.console(branch="main", who="", rows=0, expanded=True) == "/?branch=main&expanded=1"
    assert links.waterfall(project="a&b") == "/waterfall?project=a%26b"


def test_a_query_value_is_replaced_or_removed() -> None:
    assert links.replace_query("/x?a=1&theme=dark", theme="light") == "/x?a=1&theme=light"
    assert links.replace_query("/x?theme=dark", theme="") == "/x"


def test_navigation_marks_where_the_reader_is() -> None:
    assert [link.text for link in links.views("waterfall") if link.current] == ["waterfall"]
    assert [link.text for link in links.branch_tabs(("main", "3.15"), "3.15") if link.current] == [
        "3.15"
    ]


def test_lines_of_standard_error_are_told_apart_and_their_mark_is_not_shown() -> None:
    log = logs.tail("out\n!err !\nout !\n", stderr="!")
    assert [(one.stream, one.text) for one in log.lines] == [
        ("stdout", "out"), ("stderr", "err !"), ("stdout", "out !"),
    ]  # fmt: skip


def test_lines_of_the_kit_are_headings() -> None:
    log = logs.tail("pybots: $ make\nmake: pybots: no\n", heading="pybots: ")
    assert [line.stream for line in log.lines] == ["header", "stdout"]
    assert {line.stream for line in logs.tail("pybots: $ make\n").lines} == {"stdout"}

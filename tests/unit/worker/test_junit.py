"""JUnit XML from unknown tools: normalised, or refused with a reason."""

from __future__ import annotations

import doctest

import pytest

from pybots_worker.runners import junit

BOMB = """<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>
<testsuite><testcase name="&b;"/></testsuite>"""
OUTSIDE = """<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><testsuite><testcase name="&a;"/></testsuite>"""


def outcomes(text: str) -> dict[str, str]:
    return {name: test.outcome for name, test in junit.parse(text.encode()).items()}


def test_the_examples_hold() -> None:
    assert doctest.testmod(junit).failed == 0


def test_every_kind_of_outcome_is_read() -> None:
    text = """<?xml version="1.0"?><testsuites><testsuite>
      <testcase classname="m.C" name="ok" time="0.5"/>
      <testcase classname="m.C" name="bad"><failure type="E" message="m">trace</failure></testcase>
      <testcase classname="m.C" name="err"><failure/><error message="e"/></testcase>
      <testcase classname="m.C" name="skip"><skipped message="why"/></testcase>
      <testcase classname="m.C" name="xf"><skipped type="pytest.xfail" message="known"/></testcase>
      <testcase name="alone"/></testsuite></testsuites>"""
    assert outcomes(text) == {
        "m.C::ok": "passed",
        "m.C::bad": "failed",
        "m.C::err": "error",
        "m.C::skip": "skipped",
        "m.C::xf": "xfailed",
        "alone": "passed",
    }
    found = junit.parse(text.encode())
    assert found["m.C::ok"].seconds == 0.5
    failure = found["m.C::bad"].failure
    assert failure and (failure.type, failure.message, failure.detail) == ("E", "m", "trace")
    assert found["m.C::skip"].reason == "why"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "entities"),
        (OUTSIDE, "entities"),
        ("<testsuite><testcase name='a'/>", "well-formed"),
        ("", "well-formed"),
        ("not xml", "well-formed"),
        ("<html/>", "root is <html>"),
        ("<?xml version='1.0' encoding='nonsense'?><testsuite/>", "well-formed"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_reason(text: str, said: str) -> None:
    with pytest.raises(junit.JUnitError, match=said):
        junit.parse(text.encode())


@pytest.mark.parametrize("time", ["NaN", "inf", "-inf", "-1", "soon", "", "1e999"])
def test_a_nonsensical_duration_counts_nothing(time: str) -> None:
    data = f"<testsuite><testcase name='a' time='{time}'/></testsuite>".encode()
    assert junit.parse(data)["a"].seconds == 0.0


def test_a_name_that_comes_twice_is_numbered() -> None:
    assert outcomes(
        "<testsuite><testcase name='a'/><testcase name='a'><failure/></testcase></testsuite>"
    ) == {
        "a": "passed",
        "a#2": "failed",
    }


def test_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(junit, "MAX_TESTS", 3)
    with pytest.raises(junit.JUnitError, match="more than 3"):
        junit.parse(b"<testsuite>" + b"<testcase name='a'/>" * 4 + b"</testsuite>")
    monkeypatch.setattr(junit, "MAX_BYTES", 3)
    with pytest.raises(junit.JUnitError, match="bytes"):
        junit.parse(b"<testsuite/>")

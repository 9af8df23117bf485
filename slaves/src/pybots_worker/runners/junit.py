"""JUnit XML, as a test suite of unknown provenance wrote it: bounded, no entities, every oddity normalised.

Durations that are NaN, infinite, negative or no numbers count 0; ids that come twice get `#2`; a file that is cut off
or is no JUnit at all is refused with a reason.
"""

from __future__ import annotations

import math
from typing import Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from pybots_worker.contract import Failure, Outcome, TestOutcome
from pybots_worker.inside.pybots_ids import Numbered, stable
from pybots_worker.runners import text

MAX_BYTES: Final = 256 << 20
MAX_TESTS: Final = 500_000
MAX_SECONDS: Final = 10_000_000.0


class JUnitError(ValueError):
    """The file is not a JUnit report that can be used; the text says why."""


def parse(data: bytes) -> dict[str, TestOutcome]:
    """The outcomes in a JUnit file, by stable id, in the file's order. Raises JUnitError."""
    if len(data) > MAX_BYTES:
        raise JUnitError(f"{len(data)} bytes; {MAX_BYTES} are read")
    try:
        root = fromstring(data, forbid_dtd=True)
    except DefusedXmlException as error:
        raise JUnitError(f"it declares entities or a document type: {error}") from error
    except (ParseError, ValueError, LookupError) as error:
        raise JUnitError(f"it is not well-formed XML: {error}") from error
    if root.tag not in ("testsuites", "testsuite"):
        raise JUnitError(f"its root is <{root.tag[:80]}>, not <testsuites>")
    number = Numbered()
    found: dict[str, TestOutcome] = {}
    for case in root.iter("testcase"):
        if len(found) >= MAX_TESTS:
            raise JUnitError(f"more than {MAX_TESTS} tests")
        name = number(stable(_name(case)))
        found[name] = _outcome(name, case)
    return found


def _name(case: Element) -> str:
    parts = (case.get("classname") or "", case.get("name") or "")
    return "::".join(part for part in parts if part)


def _outcome(name: str, case: Element) -> TestOutcome:
    outcome, failure, reason = _judge(case)
    return TestOutcome(
        id=name,
        outcome=outcome,
        seconds=seconds(case.get("time", "")),
        failure=failure,
        reason=text.line(reason),
    )


def _judge(case: Element) -> tuple[Outcome, Failure | None, str]:
    """(outcome, failure, reason): an error outweighs a failure, which outweighs a skip."""
    if (error := case.find("error")) is not None:
        return "error", _failure(error), ""
    if (failure := case.find("failure")) is not None:
        return "failed", _failure(failure), ""
    if (skip := case.find("skipped")) is not None:
        # pytest writes an expected failure as a skip of this type.
        expected = skip.get("type") == "pytest.xfail"
        return "xfailed" if expected else "skipped", None, skip.get("message") or ""
    return "passed", None, ""


def _failure(element: Element) -> Failure:
    return text.failure(element.get("type") or "", element.get("message") or "", element.text or "")


def seconds(written: str) -> float:
    """A duration as some tool wrote it; thousands separators are taken off, nonsense is 0.

    >>> seconds("1,234.5"), seconds("NaN")
    (1234.5, 0.0)
    """
    try:
        value = float(written.replace(",", "") or 0)
    except ValueError:
        return 0.0
    return min(value, MAX_SECONDS) if math.isfinite(value) and value > 0 else 0.0

"""Dispositions, parking, the gardeners' rota, and when digests are due."""

from __future__ import annotations

import calendar

import pytest

from pybots.core import digest, dispositions, gardeners, parking
from pybots.core.audiences import DAY
from pybots.core.digest import Standing
from pybots.core.dispositions import Unfit
from pybots.core.parking import PARK_AFTER_SECONDS, Part

NOW = 1e9


def test_an_answer_holds_until_it_expires() -> None:
    given = dispositions.answer("python", now=NOW, days=2, person=" Ada\nBcc: x ", note="a\x00b")
    assert given.expires == NOW + 2 * DAY
    assert "\n" not in given.person and "\x00" not in given.note
    assert dispositions.current("python", given.expires, NOW + 2 * DAY - 1) == "python"
    assert dispositions.current("python", given.expires, NOW + 2 * DAY) == "untriaged"
    assert dispositions.current("python", None, NOW * 2) == "python"


def test_untriaged_never_expires() -> None:
    assert dispositions.answer("untriaged", now=NOW).expires is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"disposition": "nonsense"}, "known: untriaged, expected"),
        ({"issue": "javascript:alert(1)"}, "https://"),
        ({"issue": "https://"}, "https://"),
        ({"issue": "https://x/ y"}, "https://"),
        ({"days": 0}, "days"),
        ({"days": 1e9}, "days"),
        ({"days": float("nan")}, "days"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(
    changes: dict[str, object], words: str
) -> None:
    with pytest.raises(Unfit, match=words):
        dispositions.answer(**{"disposition": "python", "now": NOW, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parts", "parked"),
    [
        ([], False),
        ([Part(since=NOW - PARK_AFTER_SECONDS, acted=False)], True),
        ([Part(since=NOW - PARK_AFTER_SECONDS + 1, acted=False)], False),
        ([Part(since=0.0, acted=True)], False),
        ([Part(since=0.0, acted=False), Part(since=0.0, acted=True)], False),
        ([Part(since=0.0, acted=False), Part(since=NOW - 5, acted=False)], False),
    ],
)
def test_a_lane_is_parked_when_it_is_red_for_long_and_nobody_acts(
    parts: list[Part], parked: bool
) -> None:
    """Something new in it, or somebody who takes it up, ends that."""
    assert (parking.parked_since(parts, NOW) is not None) is parked


def test_a_parked_lane_runs_once_a_day() -> None:
    assert parking.may_run(None, NOW, NOW)
    assert parking.may_run(1.0, None, NOW)
    assert not parking.may_run(1.0, NOW - DAY + 1, NOW)
    assert parking.may_run(1.0, NOW - DAY, NOW)


def test_the_rota_goes_round() -> None:
    names = ("Ada", "Grace", "Mary")
    found = [gardeners.on_duty(names, 0.0, 7, n * 7 * DAY + 5) for n in range(4)]
    assert [(one.name, one.next) for one in found if one] == [
        ("Ada", "Grace"), ("Grace", "Mary"), ("Mary", "Ada"), ("Ada", "Grace"),
    ]  # fmt: skip
    assert found[0] and found[0].until == 7 * DAY
    assert gardeners.on_duty((), 0.0, 7, 5.0) is None
    assert gardeners.on_duty(names, 10.0, 7, 5.0) is None
    alone = gardeners.on_duty(("Ada",), 0.0, 7, 5.0)
    assert alone and alone.next == ""


def at(*when: int) -> float:
    return float(calendar.timegm((*when, 0, 0, 0)[:6]))


def test_digests_are_due_at_six_and_on_mondays() -> None:
    assert digest.last_daily(at(2026, 1, 15, 6)) == at(2026, 1, 15, 6)
    assert digest.last_daily(at(2026, 1, 15, 5)) == at(2026, 1, 14, 6)
    assert digest.last_weekly(at(2026, 1, 15, 5)) == at(2026, 1, 12, 6), "a Monday"
    assert digest.last_weekly(at(2026, 1, 12, 6)) == at(2026, 1, 12, 6)
    assert digest.last_weekly(at(2026, 1, 12, 5)) == at(2026, 1, 5, 6)


def test_untriaged_breakages_lead_and_grow_louder() -> None:
    def one(number: int, weeks: float, disposition: str = "untriaged") -> Standing:
        return Standing(
            id=number, title="t", projects=(), since=NOW - weeks * 7 * DAY, disposition=disposition
        )

    found = digest.in_order([one(1, 1), one(2, 9, "python"), one(3, 5), one(4, 0)])
    assert [item.id for item in found] == [3, 1, 4, 2]
    assert [digest.loudness(one(1, weeks), NOW) for weeks in (0, 1, 2, 4, 8, 99)] == [
        0,
        1,
        2,
        3,
        4,
        4,
    ]
    assert digest.loudness(one(1, 99, "python"), NOW) == 0

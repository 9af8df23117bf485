"""Which workers are not fit, and when that is over."""

from __future__ import annotations

from typing import Any

import pytest

from pybots.core.health import DAY, FRESH_SECONDS, Vitals, over, trouble

NOW = 1_750_000_000.0
WELL = {"now": NOW, "told": NOW - 60, "disk_free": 100 << 30}


@pytest.mark.parametrize(
    ("vitals", "kind"),
    [
        ({}, None),
        ({"told": None, "disk_free": 0}, None),
        ({"disk_free": 1 << 30}, "disk"),
        ({"disk_free": 1 << 30, "told": NOW - FRESH_SECONDS - 1}, None),
        ({"skew": -301.0}, "clock"),
        ({"skew": 299.0}, None),
        ({"partings": 12}, "flapping"),
        ({"silences": 2}, "frozen"),
        ({"partings": 11}, None),
        ({"lost": 5}, "losing"),
        ({"lost": 5, "done": 2}, None),
        ({"lost": 4}, None),
        ({"disagreed": True}, "disagrees"),
    ],
)
def test_troubles_have_a_kind_and_words(vitals: dict[str, Any], kind: str | None) -> None:
    found = trouble(Vitals(**{**WELL, **vitals}))
    assert (found.kind if found else None) == kind
    assert found is None or found.words


def test_a_full_disk_has_to_become_emptier_than_it_was_full() -> None:
    between = {**WELL, "disk_free": int(2.5 * (1 << 30))}
    assert trouble(Vitals(**between)) is None
    assert trouble(Vitals(**between, trouble="disk")) is not None


def test_silence_ends_no_quarantine() -> None:
    silent = trouble(Vitals(now=NOW, told=NOW - DAY, trouble="disk", disk_free=100 << 30))
    assert silent is not None and not over("disk", silent)


@pytest.mark.parametrize(
    ("before", "ends"),
    [
        ("disk", True),
        ("clock", True),
        ("flapping", True),
        ("frozen", True),
        ("losing", False),
        ("disagrees", False),
        ("", False),
    ],
)
def test_only_what_heals_by_itself_ends_by_itself(before: str, ends: bool) -> None:
    assert over(before, None) is ends

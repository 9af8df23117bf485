"""Tokens speak for one attempt and kind, for a while."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pybots.farm.tokens import TokenError, load_key, make_key, mint, verify

KEY = b"k" * 64


def make(**changes: object) -> str:
    plain = {"run": 7, "attempt": 9, "kind": "report", "max_bytes": 1000, "expires": 100.9}
    return mint(KEY, **{**plain, **changes})  # type: ignore[arg-type] # the builder's values are as typed above


def test_a_token_says_what_it_was_minted_for() -> None:
    grant = verify(KEY, make(), now=100)
    assert (grant.run, grant.attempt, grant.kind, grant.max_bytes) == (7, 9, "report", 1000)


def test_an_expired_token_is_refused() -> None:
    with pytest.raises(TokenError, match="expired"):
        verify(KEY, make(), now=101.0)


@pytest.mark.parametrize(
    "forged", ["", ".", "x", "1.7.9.report.1000.100.", "1.7.9.report.1000.100.AAAA", "é.é"]
)
def test_a_token_this_farm_did_not_make_is_refused(forged: str) -> None:
    with pytest.raises(TokenError, match="not made by this farm"):
        verify(KEY, forged, now=1)


def test_every_change_of_a_token_is_noticed() -> None:
    token = make()
    for place, letter in enumerate(token):
        changed = token[:place] + ("A" if letter != "A" else "B") + token[place + 1 :]
        with pytest.raises(TokenError):
            verify(KEY, changed, now=1)


def test_another_farms_token_is_refused() -> None:
    with pytest.raises(TokenError):
        verify(b"j" * 64, make(), now=1)


def test_the_key_is_made_once_and_readable_by_the_farm_only(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match="pybots init"):
        load_key(tmp_path)
    make_key(tmp_path)
    key = load_key(tmp_path)
    make_key(tmp_path)
    assert load_key(tmp_path) == key
    assert (tmp_path / "token-key").stat().st_mode & 0o777 == 0o600


def test_a_key_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        make_key(tmp_path)
    monkeypatch.undo()
    make_key(tmp_path)
    assert load_key(tmp_path)


def test_a_short_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token-key").write_text("short")
    with pytest.raises(TokenError, match="too short"):
        load_key(tmp_path)

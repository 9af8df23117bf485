"""The style sheet keeps its promises: contrast, one look per state, layers in order, bytes."""

from __future__ import annotations

import gzip
import re

from pybots_status import assets
from pybots_status.render import render
from pybots_status.samples import SAMPLES
from pybots_status.states import ALL_STATES, STATES

CSS = assets.stylesheet()
PAIR = re.compile(r"--([\w-]+): light-dark\((#\w+), (#\w+)\);")
TOKENS = {name: (light, dark) for name, light, dark in PAIR.findall(CSS)}


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(c * 2 for c in colour[1:4])
    channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str, mode: int) -> float:
    """WCAG 2 contrast ratio of two tokens."""
    low, high = sorted(_luminance(TOKENS[name][mode]) for name in (one, other))
    return (high + 0.05) / (low + 0.05)


FILLS = ("ok", "new", "old", "run", "infra", "off", "blocked", "idle")
INKS = [(f"{name}-ink", name) for name in FILLS] + [
    ("old-ink", "old-stripe"),
    ("runbad-ink", "run"),
]
GROUNDS = ("page", "panel", "row-a", "row-b")
TEXTS = [(ink, ground) for ink in ("text", "muted", "link") for ground in GROUNDS]
OTHERS = [
    ("text", "notice"),
    ("link", "notice"),
    ("new", "row-a"),
    ("link", "idle"),
    ("muted", "idle"),
]
EDGES = [
    (f"{name}-edge", ground) for name in (*FILLS, "runbad") for ground in ("page", "row-a", "row-b")
]


def too_weak(pairs: list[tuple[str, str]], ratio: float) -> list[str]:
    """The pairs of tokens below a ratio, in either mode."""
    return [
        f"{one} on {other}, {('light', 'dark')[mode]}: {contrast(one, other, mode):.2f}"
        for one, other in pairs
        for mode in (0, 1)
        if contrast(one, other, mode) < ratio
    ]


def test_text_has_a_contrast_of_four_and_a_half() -> None:
    assert too_weak([*INKS, *TEXTS, *OTHERS], 4.5) == []


def test_edges_and_focus_have_a_contrast_of_three() -> None:
    assert too_weak([*EDGES, *(("focus", ground) for ground in GROUNDS)], 3) == []


def test_states_differ_in_more_than_colour() -> None:
    """Different glyphs and words for each; who hears or prints the page loses nothing."""
    glyphs = [STATES[state].glyph for state in ALL_STATES]
    words = [STATES[state].words for state in ALL_STATES]
    assert len(set(glyphs)) == len(set(words)) == len(ALL_STATES)
    assert all(words)


def test_every_state_has_a_style() -> None:
    assert [s for s in ALL_STATES if not re.search(rf"\.{STATES[s].css}\b", CSS)] == []


def test_layers_are_in_order() -> None:
    assert CSS.startswith("@layer tokens, base, layout, parts;")
    assert re.findall(r"^@layer (\w+) \{", CSS, flags=re.M) == ["tokens", "base", "layout", "parts"]


def test_colours_stand_in_the_tokens_only() -> None:
    after = CSS.split("@layer base {", 1)[1]
    assert not re.findall(r"#[0-9a-fA-F]{3,8}\b(?![^{}]*\{)", after)


def test_every_variable_is_defined() -> None:
    used = set(re.findall(r"var\(--([\w-]+)\)", CSS))
    defined = set(re.findall(r"--([\w-]+):", CSS))
    assert used <= defined


def test_the_style_sheet_fetches_nothing() -> None:
    assert "url(" not in CSS
    assert "@import" not in CSS


def test_braces_balance() -> None:
    assert CSS.count("{") == CSS.count("}")


def _gzip(data: bytes) -> int:
    return len(gzip.compress(data, 6))


def test_bytes_of_the_assets() -> None:
    assert _gzip(assets.style().body) <= 6 * 1024
    assert len(assets.script().body) <= 8 * 1024


def test_bytes_of_a_console_of_30_commits_and_26_columns() -> None:
    page = SAMPLES["console"]
    assert _gzip(render(page).encode()) <= 30 * 1024


def test_assets_are_named_by_content() -> None:
    for name, asset in assets.assets().items():
        assert name == asset.name
        assert re.fullmatch(r"status-[0-9a-f]{10}\.(css|js)", name)


def test_the_policy_allows_no_inline_code() -> None:
    assert "unsafe" not in assets.CONTENT_SECURITY_POLICY
    assert "default-src 'none'" in assets.CONTENT_SECURITY_POLICY

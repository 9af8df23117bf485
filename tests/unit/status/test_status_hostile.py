"""Everything on a page may have been written by a hostile worker: it is shown, and does nothing."""

from __future__ import annotations

import re

import pytest
from status_html import Element, addresses, parse, poisoned

from pybots_status.assets import assets
from pybots_status.pages import Page
from pybots_status.render import render
from pybots_status.samples import SAMPLES

MARKUP = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}</pre></title>"
CONTROLS = (
    "a\x1b[31mred\x1b[0m \x1b]0;title\x07\x07bell \x00 \x9b31m \u202egnp.exe\u2066 \ud800 \x1b]8;;x"
)

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

# The wide samples show the same parts as the others, many times over.
PAGES = {
    name: page
    for name, page in SAMPLES.items()
    if name not in ("console-200-columns", "waterfall-many-lanes", "projects-500-lanes")
}
every_page = pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)


@pytest.mark.deep
@every_page
def test_markup_and_terminal_controls_are_text(page: Page) -> None:
    html = render(poisoned(page, MARKUP + CONTROLS))
    found = parse(html)
    _nothing_was_added(found)
    assert MARKUP in found.words(), "the text itself is still shown"
    assert "<img" not in html
    assert not CONTROL.search(html)
    assert not set(html) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    html.encode("utf-8")


def _nothing_was_added(found: Element) -> None:
    assert len(found.all("script")) == 1
    assert not found.all("img")
    for element in found.walk():
        assert not any(attribute.startswith("on") for attribute in element.attributes)


@pytest.mark.deep
@every_page
def test_an_address_that_is_not_ours_or_http_never_becomes_a_link(page: Page) -> None:
    """Which addresses are safe is tested in test_status_text; here: that no template forgets to ask."""
    for address in ("javascript:alert(1)", "//evil.example/"):
        for value in addresses(render(poisoned(page, address))):
            assert value == "data:," or (value.startswith(("/", "#")) and value[:2] != "//")


@pytest.mark.deep
@every_page
def test_an_empty_string_everywhere_still_renders(page: Page) -> None:
    assert "<main" in render(poisoned(page, ""))


def test_links_to_strangers_leak_and_promise_nothing() -> None:
    found = parse(render(SAMPLES["project"]))
    outside = [a for a in found.all("a") if a.attributes["href"].startswith("http")]
    assert outside
    assert {a.attributes["rel"] for a in outside} == {"noopener nofollow"}


def test_asset_names_are_plain() -> None:
    assert all(name.replace("-", "").replace(".", "").isalnum() for name in assets())

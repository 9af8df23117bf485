"""A real farm's pages when its master is dead. These tests come last: nobody starts the master again."""

from __future__ import annotations

from tests.browser.conftest import Opener, Yard

PATIENCE = 240_000


def test_a_dead_master_is_told_and_the_pages_live_on(yard: Yard, open_tab: Opener) -> None:
    """While the page is open: it says so by itself."""
    sha = yard.broken()
    tab = open_tab(yard.url)
    tab.open("/")
    assert tab.page.get_by_role("alert").count() == 0
    yard.kill_master()
    tab.page.get_by_role("alert").wait_for(timeout=PATIENCE)
    assert "The master is down; last seen" in tab.page.get_by_role("alert").inner_text()
    assert tab.cell(sha) == "s-new", "what was known is still shown"
    for path in ("/", "/waterfall", f"/commit/{sha}", f"/run/{yard.run(sha, 'anchor')}", "/mail"):
        assert tab.open(path).status == 200
        assert "The master is down" in tab.text()

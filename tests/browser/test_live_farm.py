"""A real farm's pages in a real browser: a commit turns its cell red under the reader's eyes, every page can be reached
and read, with and without scripts, on a desk and on a phone, with a keyboard alone."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.browser import axe
from tests.browser.conftest import Opener, Yard
from tests.browser.tab import Tab

from pybots.ledger import schema

PATIENCE = 240_000
"""Milliseconds for what the farm must do first."""
PER_KIND = 3
"""So many pages of each kind (`/run/…`, `/commit/…`) are looked at."""
KINDS = {
    "", "waterfall", "projects", "project", "lane", "commit", "run", "breakage", "workers", "worker",
    "mail", "legend", "join", "breakages", "stats", "tree",
}  # fmt: skip
LOOKS: dict[str, dict[str, Any]] = {
    "desk": {},
    "phone in the dark": {"width": 360, "color_scheme": "dark"},
    "without scripts": {"java_script_enabled": False},
}


def test_the_first_seconds_of_a_farm(new_yard: Yard, open_tab: Opener) -> None:
    """Before anything is known the page says so; it doesn't say that all is well."""
    if new_yard.processes.keys() != {"web"}:
        pytest.skip("the farm was begun by an earlier test")
    tab = open_tab(new_yard.url)
    assert tab.open("/").status == 200
    assert tab.page.locator(".s-ok").count() == 1, "only the legend's"
    assert "it has not begun yet" in tab.page.get_by_role("alert").inner_text()
    assert "No lanes yet" in tab.text()
    for path in (
        "/waterfall", "/projects", "/breakages", "/workers", "/stats", "/mail", "/tree", "/legend", "/join"
    ):  # fmt: skip
        assert tab.open(path).status == 200
        assert tab.heading()


def test_the_console_shows_commits_columns_and_projects(yard: Yard, open_tab: Opener) -> None:
    tab = open_tab(yard.url)
    tab.open("/")
    head = yard.live.world.head()
    assert tab.page.locator("tbody.commit").count() == len(yard.live.rows(schema.commits))
    assert tab.cell(head) == "s-ok"
    assert tab.page.locator("tbody.now td.c").count() == 1
    strips = tab.page.locator(".strips li > a").all_inner_texts()
    assert strips == ["anchor", "husk", "sprout"]
    assert tab.page.locator(".banner.s-ok").inner_text().endswith("3 of 3 projects pass")
    assert "slave" not in tab.text().lower()


def test_a_cell_turns_red_while_the_page_is_open(yard: Yard, open_tab: Opener) -> None:
    """Nobody reloads and nothing is fetched again: the page hears of it. Meanwhile the run's own page shows its log
    growing."""
    tab, beside = open_tab(yard.url), open_tab(yard.url)
    tab.open("/")
    tab.page.evaluate("window.sameDocument = true")
    fetched: list[str] = []
    tab.page.on("request", lambda asked: fetched.append(asked.url))
    before = tab.page.locator("tbody.commit").count()
    with yard.waiting_worker():
        sha = yard.break_slowly()
        tab.watch(sha)
        tab.page.locator(f"#r-{sha[:12]} td.c .s-queued").wait_for(timeout=PATIENCE)
    fetched.clear()  # what happened between the page's answer and its stream's first word makes it fetch itself once
    log = _live_log(tab, beside)
    tab.page.locator(f"#r-{sha[:12]} td.c .s-new").first.wait_for(timeout=PATIENCE)
    looks = tab.looks()
    assert tab.page.evaluate("window.sameDocument"), "the page was not loaded anew"
    assert fetched == [], "the rows came by the stream"
    assert looks[:2] == ["s-queued", "s-run"] and looks[-1] == "s-new", looks
    assert "s-ok" not in looks, "green before its lanes were done"
    assert tab.page.locator("tbody.commit").count() == before + 1
    assert tab.page.locator("tbody.commit").first.get_attribute("id") == f"r-{sha[:12]}"
    bullet = tab.page.locator(f"#r-{sha[:12]} .bullets").inner_text()
    assert "anchor" in bullet and "rgb_to_yiq" in bullet
    assert re.search(r"mixing colour \d", log)


def _live_log(tab: Tab, beside: Tab) -> str:
    """Open what runs now from the console and watch its log until the slow test talks."""
    running = tab.page.locator(".progress .facts > div", has_text="anchor").locator("a").first
    running.wait_for(timeout=PATIENCE)
    beside.open(str(running.get_attribute("href")))
    beside.page.get_by_text("mixing colour").first.wait_for(timeout=PATIENCE)
    assert beside.page.get_by_text("growing").count()
    return beside.text()


WATCH_PROBES = """() => {
    window.said = {};
    const look = () => document.querySelectorAll("#search tr[data-row]").forEach(row => {
        const seen = said[row.id] ??= [];
        const now = row.querySelector("td[data-l=Said] .pill").textContent.trim();
        if (now !== seen.at(-1)) seen.push(now);
    });
    new MutationObserver(look).observe(document, {childList: true, subtree: true, characterData: true});
    look();
}"""
"""Notes everything that each row of the table of probes says, however shortly."""
FOLLOWED = """() => Object.values(said).some(seen =>
    /waits for a worker/.test(seen[0]) && /under way/.test(seen.at(-2)) && /passes|fails/.test(seen.at(-1)))"""


def test_a_breakages_page_follows_its_probes(yard: Yard, open_tab: Opener) -> None:
    """A row comes when a probe is asked for: it waits for a worker, is under way, has its answer. Nothing is fetched."""
    yard.break_slowly()
    (found, *_) = yard.live.wait(lambda: yard.live.rows(schema.investigations), "an investigation")
    tab = open_tab(yard.url)
    with yard.waiting_worker():
        tab.open(f"/breakage/{found.breakage_id}")
        if "being looked into" not in tab.text():
            pytest.skip("it was looked into while earlier tests ran")
        tab.page.evaluate(WATCH_PROBES)
        tab.page.evaluate("window.sameDocument = true")
    tab.page.wait_for_function(FOLLOWED, timeout=PATIENCE)
    assert tab.page.evaluate("window.sameDocument"), "the page was not loaded anew"
    order = ("waits for a worker", "under way", "passes", "fails")
    for seen in tab.page.evaluate("Object.values(said)"):
        places = [place for text in seen for place, word in enumerate(order) if word in text]
        assert places == sorted(places), f"it went back: {seen}"


def test_a_failed_run_says_first_what_failed(yard: Yard, open_tab: Opener) -> None:
    """Everything from the console on is reached by links alone."""
    sha = yard.broken()
    tab = open_tab(yard.url)
    tab.open("/")
    tab.follow("release on linux-x86_64", where=f"#r-{sha[:12]} .bullets li:has-text('anchor')")
    assert tab.heading().startswith(f"Run {yard.run(sha, 'anchor')}")
    names = tab.page.locator(".failure h3 code").all_inner_texts()
    assert sorted(name.rpartition(".")[2] for name in names) == [
        "test_black_is_dark",
        "test_white_is_bright",
    ]
    top = {
        name: tab.page.get_by_role("heading", name=name, exact=True).bounding_box()["y"]
        for name in ("Failures", "Run it yourself", "Logs")
    }
    assert top["Failures"] < top["Run it yourself"] < top["Logs"]
    phases = tab.page.locator(".phases tbody tr")
    assert [row.split()[0] for row in phases.all_inner_texts()] == [
        "interpreter",
        "source",
        "install",
        "test",
        "report",
    ]
    tab.follow("source", where=".phases")
    assert tab.page.locator("#log-source").count() == 1
    tab.follow("anchor trunk", where="main")
    assert "anchor trunk, main release on linux-x86_64" in tab.heading()
    tab.follow("anchor", where="main")
    assert tab.heading() == "Anchor"
    tab.follow("1", where="main table:has-text('Breakage')")
    assert "rgb_to_yiq" in tab.heading()
    tab.follow(sha[:12], where="main .facts")
    assert tab.heading() == "gh-140005: Mix colours by hand"
    tab.follow("[Pybots] anchor", exact=False, where="main")
    assert "./pybots try anchor" in tab.page.locator("pre.mail").inner_text()
    tab.follow(f"{yard.url}/run/", exact=False, where="pre.mail")
    tab.follow("local", where="main .facts")
    assert tab.heading().startswith("local")


def test_an_interpreter_that_fails_is_red_and_says_why(yard: Yard, open_tab: Opener) -> None:
    """Its projects' green from before must not hide that there is nothing to run."""
    yard.broken()
    sha = yard.unbuilt = yard.live.commit("does-not-compile")
    yard.live.verdict(sha)
    yard.live.calm()
    tab = open_tab(yard.url)
    tab.open("/")
    assert tab.cell(sha) == "s-new"
    assert "main does not build" in tab.page.locator(".banner").inner_text()
    bullet = tab.page.locator(f"#r-{sha[:12]} .bullets").inner_text()
    assert "the interpreter does not build: longobject.c" in bullet
    tab.page.locator(f"#r-{sha[:12]} td.c a").click()
    assert "longobject.c" in tab.page.locator("pre.error").first.inner_text()
    assert "exit 2" in tab.page.locator(".phases").inner_text()


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_reached_fits_and_is_silent(
    yard: Yard, open_tab: Opener, checker: str, look: str
) -> None:
    """By links from the console alone. Nothing sticks out of the window, nothing complains, nobody else is asked; a view
    takes three requests and one stream, and axe-core finds nothing serious on the first page of each kind."""
    yard.broken()
    tab = open_tab(yard.url, **LOOKS[look])
    asked: list[str] = []
    tab.page.on("request", lambda one: asked.append(one.url.removeprefix(yard.url)))
    waiting, found = ["/"], dict.fromkeys(KINDS, 0)
    known, path = set(waiting), ""
    unchecked = set(KINDS) if LOOKS[look].get("java_script_enabled", True) else set()
    while waiting:
        path, before = waiting.pop(0), path
        asked.clear()
        answer = tab.open(path)
        assert answer.status == 200, path
        # The page before may have asked for its news in the moment in which it was left.
        mine = [url for url in asked if url != before]
        _is_light(path, mine, int(answer.headers["content-length"]))
        assert tab.sticks_out() <= 0, f"{tab.sticks_out()} pixels stick out of {path}"
        assert tab.heading(), path
        kind = path.split("/")[1]
        if kind in unchecked:
            unchecked.remove(kind)
            assert axe.complaints(tab.page, checker) == [], path
        for href in tab.links():
            kind = href.partition("?")[0].split("/")[1]
            if href in known or "?" in href or kind not in found or found[kind] >= PER_KIND:
                continue
            if href.count("/") > 2:  # /run/7/report and the like are no pages
                continue
            known.add(href)
            found[kind] += 1
            waiting.append(href)
    assert [kind for kind in KINDS - {""} if not found[kind]] == []
    assert not unchecked


def _is_light(path: str, asked: list[str], size: int) -> None:
    """The page, its style and its script; nothing of it twice. `size`: bytes of the page as it was sent."""
    files = [url for url in asked if not url.startswith(("/events?", "data:"))]
    assert files[0] == path and len(files) <= 3, files
    assert all(url.startswith("/static/") for url in files[1:]), files
    assert len([url for url in asked if url.startswith("/events?")]) <= 1, asked
    assert size <= 30 << 10, (path, size)


def test_without_scripts_the_page_comes_again_by_itself(yard: Yard, open_tab: Opener) -> None:
    plain, scripted = open_tab(yard.url, java_script_enabled=False), open_tab(yard.url)
    for tab in (plain, scripted):
        tab.open("/")
    meta = "head noscript meta[http-equiv=refresh]"
    assert plain.page.locator(meta).get_attribute("content") in ("15", "60")
    assert scripted.page.locator(meta).count() == 0, "with scripts it is refreshed in place"
    plain.page.locator("select[name=project]").select_option("husk")
    plain.page.get_by_role("button", name="Show").click()
    assert "project=husk" in plain.page.url
    assert (
        plain.page.locator("tbody.commit").count() == scripted.page.locator("tbody.commit").count()
    )


def test_a_keyboard_reaches_the_content_and_the_failing_box(yard: Yard, open_tab: Opener) -> None:
    sha = yard.broken()
    tab = open_tab(yard.url)
    tab.open("/")
    tab.page.keyboard.press("Tab")
    assert _focused(tab)["text"] == "Skip to the content"
    tab.page.keyboard.press("Enter")
    reached = []
    for _ in range(200):
        tab.page.keyboard.press("Tab")
        reached.append(_focused(tab))
        if reached[-1]["row"] == f"r-{sha[:12]}" and "s-new" in reached[-1]["box"]:
            break
    else:
        raise AssertionError(f"the red box is not reached: {reached}")
    assert not [item for item in reached if "s-ok" in item["box"]], "green boxes are no stops"
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_url(re.compile("/(run|commit)/"))


def test_keys_walk_over_the_console(yard: Yard, open_tab: Opener) -> None:
    """j and k go from commit to commit, n to the next new failure; a box that is reached says what it means."""
    yard.broken()
    tab = open_tab(yard.url)
    tab.open("/")
    rows = [str(row.get_attribute("id")) for row in tab.page.locator("tbody.commit").all()]
    red = tab.page.locator("tbody.commit", has=tab.page.locator("td .box.s-new"))
    newest_red = str(red.first.get_attribute("id"))
    for key, row in (("j", rows[0]), ("j", rows[1]), ("k", rows[0]), ("k", rows[0])):
        tab.page.keyboard.press(key)
        assert _focused(tab)["row"] == row, key
    tab.page.keyboard.press("n")
    reached = _focused(tab)
    assert (reached["row"], reached["box"]) == (newest_red, "box s-new")
    assert tab.page.locator("#detail").inner_text() == tab.page.locator(":focus").get_attribute(
        "title"
    )
    assert "anchor" in tab.page.locator("#detail").inner_text()
    tab.page.locator("input[name=who]").focus()
    tab.page.keyboard.type("njk")
    assert tab.page.locator("input[name=who]").input_value() == "njk", "letters are letters there"


def _focused(tab: Tab) -> dict[str, str]:
    """What has the focus: its text, its classes when it is a box, the commit's row it stands in."""
    script = """(() => { const it = document.activeElement; return {
        text: it.textContent.trim(), box: it.classList.contains("box") ? it.className : "",
        row: it.closest("tbody")?.id ?? ""}; })()"""
    found: dict[str, str] = tab.page.evaluate(script)
    return found


def test_what_is_not_there_says_so_and_leads_home(yard: Yard, open_tab: Opener) -> None:
    tab = open_tab(yard.url)
    for path in ("/run/999999", "/project/nobody", "/commit/0123456789", "/nowhere"):
        assert tab.open(path).status == 404
        assert tab.heading().startswith("404: ")
        assert tab.sticks_out() <= 0
    tab.follow("To the console")
    assert tab.page.locator("table.console").count() == 1
    # The browser itself notes every 404 in its console; nothing else may stand there.
    notes = [text for text in tab.complaints if "status of 404" in text]
    assert len(notes) == 4
    tab.complaints[:] = [text for text in tab.complaints if text not in notes]

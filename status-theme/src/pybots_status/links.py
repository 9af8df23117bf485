"""The farm's addresses: the one place that knows them. Paths start with `/`; `Frame.base_url` is put before them later.

Whoever fills pages uses these, and so do the templates; the web server routes the same paths.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from pybots_status.parts import Link

CONSOLE: Final = "/"
WATERFALL: Final = "/waterfall"
PROJECTS: Final = "/projects"
BREAKAGES: Final = "/breakages"
WORKERS: Final = "/workers"
STATS: Final = "/stats"
MAIL: Final = "/mail"
TREE: Final = "/tree"
LEGEND: Final = "/legend"
JOIN: Final = "/join"

_VIEWS: Final = (
    ("console", CONSOLE),
    ("waterfall", WATERFALL),
    ("projects", PROJECTS),
    ("breakages", BREAKAGES),
    ("workers", WORKERS),
    ("stats", STATS),
    ("mail", MAIL),
    ("tree", TREE),
    ("legend", LEGEND),
    ("join", JOIN),
)
_UNSAFE: Final = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029\ud800-\udfff]")


def _under(folder: str, name: str | int) -> str:
    word = str(name)
    if word.isascii() and word.isalnum():  # numbers and commits, a thousand on a page
        return f"/{folder}/{word}"
    return f"/{folder}/{quote(word, safe='', errors='replace')}"


def _joined(path: str, pairs: list[tuple[str, str]]) -> str:
    return f"{path}?{urlencode(pairs, errors='replace')}" if pairs else path


def with_query(path: str, /, **query: str | int | bool) -> str:
    """`path?key=value` with empty, zero and false values left out and true written as 1."""
    pairs = [(key, "1" if value is True else str(value)) for key, value in query.items() if value]
    return _joined(path, pairs)


def replace_query(address: str, /, **query: str) -> str:
    """The local `address` with some query values replaced; an empty value removes its key."""
    path, _, old = address.partition("?")
    pairs = [(key, value) for key, value in parse_qsl(old) if key not in query]
    pairs += [(key, value) for key, value in query.items() if value]
    return _joined(path, pairs)


def console(*, branch: str = "", **query: str | int | bool) -> str:
    """The console of a branch (`""`: the default one); further keys are its filters."""
    return with_query(CONSOLE, branch=branch, **query)


def waterfall(*, project: str = "", branch: str = "") -> str:
    """The waterfall, of one project when named."""
    return with_query(WATERFALL, branch=branch, project=project)


def project(name: str) -> str:
    """A project's page."""
    return _under("project", name)


def test(project_name: str, name: str) -> str:
    """The history of one test, on its project's page."""
    return with_query(project(project_name), test=name) + "#test"


def lane(slug: str) -> str:
    """A lane's page."""
    return _under("lane", slug)


def commit(sha: str) -> str:
    """A commit's page: the permalink everything anchors on."""
    return _under("commit", sha)


def run(number: int) -> str:
    """A run's page."""
    return _under("run", number)


def run_log(number: int, phase: str) -> str:
    """The whole log of a run's phase as plain text."""
    return f"{run(number)}/log/{quote(phase, safe='', errors='replace')}"


def breakage(number: int) -> str:
    """A breakage's page."""
    return _under("breakage", number)


def release(tag: str, since: str = "") -> str:
    """What a tag (or branch, or commit) has that another one did not."""
    return with_query(_under("release", tag), since=since)


def badge(project: str) -> str:
    """A project's badge as SVG."""
    return f"/badge/{quote(project, safe='', errors='replace')}.svg"


def worker(name: str) -> str:
    """A worker's page."""
    return _under("worker", name)


def mail(number: int) -> str:
    """A sent message."""
    return _under("mail", number)


def events(here: str) -> str:
    """The event stream that keeps the page with this address up to date."""
    return with_query("/events", view=here)


def feed(kind: str, name: str | int) -> str:
    """The Atom feed of a project, platform or breakage."""
    return f"{_under('feed', kind)}/{quote(str(name), safe='', errors='replace')}.atom"


def static(name: str) -> str:
    """A file of `assets`."""
    return _under("static", name)


def views(current: str = "") -> tuple[Link, ...]:
    """The navigation of every page; `current` is one of its texts (`console`, `waterfall` …) or nothing."""
    return tuple(Link(text=text, href=href, current=text == current) for text, href in _VIEWS)


def branch_tabs(names: tuple[str, ...], current: str, path: str = CONSOLE) -> tuple[Link, ...]:
    """One tab per branch, on the page at `path` (which must understand `?branch=`)."""
    return tuple(
        Link(text=name, href=with_query(path, branch=name), current=name == current)
        for name in names
    )


def safe(href: str) -> str:
    """The address if it may stand in an `href`: a local path or http(s). Everything else becomes `""`."""
    if _UNSAFE.search(href):
        return ""
    if href.startswith("#") or (href.startswith("/") and not href.startswith("//")):
        return href
    try:
        parts = urlsplit(href)
    except ValueError:
        return ""
    return href if parts.scheme in ("http", "https") and parts.hostname else ""

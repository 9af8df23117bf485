"""One page in, one HTML document out.

    render(Console(frame=..., rows=...)) -> "<!doctype html>..."

The template of a page type is found in one table; undefined names and `None` in a template are errors, never blanks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Undefined
from markupsafe import Markup

from pybots_status import assets, links, pages, text
from pybots_status.charts import number
from pybots_status.kept import Kept
from pybots_status.pages import Cell, Frame, Page
from pybots_status.states import ALL_STATES, STATES
from pybots_status.views import strip_words, view

Rewrite = Callable[[str], str]

TEMPLATES: Final[Mapping[type[Any], str]] = {
    pages.Console: "console.html",
    pages.Waterfall: "waterfall.html",
    pages.Projects: "projects.html",
    pages.Project: "project.html",
    pages.Lane: "lane.html",
    pages.Commit: "commit.html",
    pages.Run: "run.html",
    pages.Breakage: "breakage.html",
    pages.Breakages: "breakages.html",
    pages.AnswerPage: "answer.html",
    pages.Workers: "workers.html",
    pages.Worker: "worker.html",
    pages.MailArchive: "mail_archive.html",
    pages.Mail: "mail.html",
    pages.Stats: "stats.html",
    pages.Release: "release.html",
    pages.Tree: "tree.html",
    pages.Legend: "legend.html",
    pages.TextPage: "text_page.html",
    pages.ErrorPage: "error.html",
}


def render(page: Page, *, rewrite: Rewrite | None = None) -> str:
    """The page as a complete HTML document. `rewrite` changes every local address (for pages kept as files)."""
    template = TEMPLATES[type(page)]
    return render_template(template, page.frame, {"page": page, **view(page)}, rewrite=rewrite)


def render_template(
    template: str, frame: Frame, context: Mapping[str, Any], *, rewrite: Rewrite | None = None
) -> str:
    """Any template of the theme with `frame` around it; `render` is for pages, this also serves the gallery."""
    environment = make_environment(frame.base_url, rewrite)
    return environment.get_template(template).render(context, frame=frame)


@lru_cache(maxsize=8)
def make_environment(base_url: str = "", rewrite: Rewrite | None = None) -> Environment:
    """The jinja environment, with every address prefixed by `base_url` or changed by `rewrite`."""
    environment = Environment(
        loader=PackageLoader("pybots_status"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def href(address: str) -> str:
        safe = links.safe(address)
        if not safe.startswith("/"):
            return safe
        return rewrite(safe) if rewrite else base_url + safe

    environment.filters.update(
        href=href,
        utc=text.utc,
        iso=text.iso,
        clock=text.clock,
        day=text.day,
        duration=text.duration,
        size=text.size,
        ago=text.ago,
        counts=text.counts,
        addresses=text.addresses,
        plural=text.plural,
        short=_short,
    )
    environment.globals.update(
        links=links,
        assets=assets,
        states=STATES,
        all_states=ALL_STATES,
        Cell=Cell,
        chart_number=number,
        kept=Kept(),
        strip_words=strip_words,
    )
    return environment


def _finalize(value: Any) -> Any:
    """Every `{{ expression }}` passes here before it is escaped: strings lose their control characters."""
    if isinstance(value, Undefined):
        return value  # StrictUndefined raises when it is turned into text
    if value is None:
        raise TypeError("a template printed None: it must say what stands there instead")
    if isinstance(value, str) and not isinstance(value, Markup):
        return text.clean(value)
    return value


def _short(sha: str) -> str:
    """The first twelve digits of a commit: what people see and paste."""
    return sha[:12]

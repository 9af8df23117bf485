"""Every page renders in every sample state, as a well-formed, accessible document that needs no inline script or style."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from importlib.resources import files
from inspect import Parameter, signature
from typing import Any, get_args

import pytest
from jinja2 import UndefinedError
from status_html import Element, parse

from pybots_status import pages
from pybots_status.render import TEMPLATES, make_environment, render, render_template
from pybots_status.samples import SAMPLES
from pybots_status.samples.common import frame

ADDRESS = re.compile(r"(/(?!/)|#|https?://|data:,$)")


@cache
def root(name: str) -> Element:
    return parse(render(SAMPLES[name]))


every_sample = pytest.mark.parametrize("name", SAMPLES)


@pytest.mark.deep
def test_every_template_compiles() -> None:
    environment = make_environment()
    names = environment.list_templates(extensions=["html"])
    assert "base.html" in names
    for name in names:
        environment.get_template(name)


def test_every_kind_of_page_has_a_template_and_a_sample() -> None:
    kinds = set(get_args(pages.Page))
    assert set(TEMPLATES) == kinds
    assert {type(page) for page in SAMPLES.values()} == kinds
    for template in TEMPLATES.values():
        assert files("pybots_status").joinpath("templates", template).is_file()


def test_pages_are_frozen_and_keyword_only() -> None:
    for kind in get_args(pages.Page):
        assert kind.__dataclass_params__.frozen, kind
        kinds = {parameter.kind for parameter in signature(kind).parameters.values()}
        assert kinds == {Parameter.KEYWORD_ONLY}, kind


@pytest.mark.deep
@every_sample
def test_the_document_is_well_formed_and_inert(name: str) -> None:
    """Ids are unique; a strict Content-Security-Policy holds: nothing inline, no handlers; at most three requests."""
    found = root(name)
    elements = list(found.walk())
    ids = [e.attributes["id"] for e in elements if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    for element in elements:
        _is_inert(element)
    sheets = [e for e in elements if e.attributes.get("rel") == "stylesheet"]
    scripts = [e for e in elements if e.tag == "script"]
    assert (len(sheets), len(scripts)) == (1, 1)


def _is_inert(element: Element) -> None:
    assert element.tag not in ("style", "iframe", "object", "base", "img")
    if element.tag == "script":
        assert element.attributes["src"].startswith("/static/")
        assert not element.text.strip()
    for attribute, value in element.attributes.items():
        assert attribute != "style"
        assert not attribute.startswith("on")
        if attribute in ("href", "src", "action"):
            assert ADDRESS.match(value), value


@pytest.mark.deep
@every_sample
def test_the_document_is_accessible(name: str) -> None:
    """A language, a title, one heading, a skip link to the content; real tables; links that say something."""
    found = root(name)
    assert found.all("html")[0].attributes["lang"] == "en"
    assert found.all("title")[0].text.strip()
    assert len(found.all("h1")) == 1
    assert found.all("a")[0].attributes == {"class": "skip", "href": "#content"}
    assert found.all("main")[0].attributes["id"] == "content"
    for table in found.all("table"):
        _is_a_real_table(table)
    for link in found.all("a"):
        assert link.words().strip(), link.attributes
    words = found.words()
    assert "None" not in words
    assert "Undefined" not in words


def _is_a_real_table(table: Element) -> None:
    assert table.children[0].tag == "caption"
    assert table.children[0].words().strip()
    headers = table.all("th")
    assert headers
    assert {header.attributes["scope"] for header in headers} <= {"row", "col", "colgroup"}


def test_undefined_names_and_none_are_errors() -> None:
    environment = make_environment()
    with pytest.raises(UndefinedError):
        environment.from_string("{{ missing }}").render()
    with pytest.raises(TypeError, match="None"):
        environment.from_string("{{ value }}").render(value=None)


def _frame(**changes: Any) -> str:
    return render(pages.Legend(frame=replace(frame("Legend"), **changes)))


def test_a_dead_master_is_announced() -> None:
    assert "The master is down" in _frame(master_alive=False)
    assert "The master is down" not in _frame()


def test_the_page_refreshes_itself_without_javascript_only_when_asked() -> None:
    assert '<noscript><meta http-equiv="refresh" content="60"></noscript>' in _frame(refresh=60)
    assert "http-equiv" not in _frame(refresh=0)


def test_the_theme_is_a_class_of_the_document() -> None:
    assert '<html lang="en" class="dark"' in _frame(theme="dark")
    assert '<html lang="en" data-' in _frame()
    assert 'href="/legend?a=1&amp;theme=dark"' in _frame(here="/legend?a=1&theme=light")


def test_every_local_address_gets_the_base_url() -> None:
    html = _frame(base_url="https://farm.example/p")
    targets = [e.attributes["href"] for e in parse(html).walk() if "href" in e.attributes]
    local = [t for t in targets if not t.startswith(("#", "data:"))]
    assert local
    assert all(target.startswith("https://farm.example/p/") for target in local)


def test_rewriting_replaces_the_base_url() -> None:
    html = render_template(
        "legend.html", replace(frame("x"), base_url="/gone"), {}, rewrite=lambda a: f"file{a}"
    )
    assert 'href="file/join"' in html
    assert "/gone" not in html

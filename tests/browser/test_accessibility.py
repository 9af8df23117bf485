"""axe-core finds nothing serious on any page: every sample on a desk in the light, every kind of page on a dark phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.browser import axe

from pybots_status import preview
from pybots_status.samples import SAMPLES

HEAVY = "console-200-columns"
"""The console's own markup, many times over: minutes for axe, and nothing new."""
NAMES = [name for name in ("index", *SAMPLES) if name != HEAVY]
KINDS = list({type(page): name for name, page in reversed(SAMPLES.items())}.values())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("preview")
    preview.write(out)
    return out


def opened(browser: Any, width: int, scheme: str) -> Iterator[Any]:
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce"
    )
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def desk(browser: Any) -> Iterator[Any]:
    yield from opened(browser, 1280, "light")


@pytest.fixture(scope="module")
def phone(browser: Any) -> Iterator[Any]:
    yield from opened(browser, 360, "dark")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_serious_on_a_desk_in_the_light(
    desk: Any, folder: Path, checker: str, name: str
) -> None:
    desk.goto((folder / f"{name}.html").as_uri())
    assert axe.complaints(desk, checker) == []


@pytest.mark.parametrize("name", KINDS)
def test_nothing_serious_on_a_phone_in_the_dark(
    phone: Any, folder: Path, checker: str, name: str
) -> None:
    phone.goto((folder / f"{name}.html").as_uri())
    assert axe.complaints(phone, checker) == []


def test_the_checker_sees_what_is_wrong(desk: Any, folder: Path, checker: str) -> None:
    """Without this, a checker that runs no rule would be content with everything."""
    desk.goto((folder / "legend.html").as_uri())
    desk.evaluate(
        """document.querySelector('main').insertAdjacentHTML(
            'beforeend', '<a href="#content"></a><img src="data:,"><p id="x">pale</p>');
        document.getElementById('x').style.cssText = 'color: #ddd; background: #fff'"""
    )
    found = {line.split(": ")[1] for line in axe.complaints(desk, checker)}
    assert {"link-name", "image-alt", "color-contrast"} <= found

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.farm import live as living
from tests.farm.live import Live
from tests.farm.webyard import Web, serving


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One farm for the whole test run; tests add commits to it and must not undo one another."""
    made = living.make(
        tmp_path_factory.mktemp("farm"), projects=("sprout", "anchor", "fern", "thorn")
    )
    made.start()
    try:
        made.calm()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with serving(tmp_path_factory.mktemp("web") / "farm") as made:
        yield made

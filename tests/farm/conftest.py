from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.farm import live as living
from tests.farm.live import Live
from tests.farm.webyard import Web, fill, free_port, settings, start, stop
from tests.unit.farm.builders import Book, make_farm


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
    root = tmp_path_factory.mktemp("web") / "farm"
    port = free_port()
    settings(root, port)
    farm = make_farm(root, migrated=True)
    book = Book(farm)
    made = Web(farm, book, port, start(root, port))
    made.marks = fill(book)
    yield made
    stop(made.process)
    farm.ledger.close()
    assert "Traceback" not in (root / "web.log").read_text()

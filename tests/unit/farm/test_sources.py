"""What the package index says, and what it says when it is broken."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests
from lane_world import make_project, make_world

from pybots.core.model import IndexSource
from pybots.farm import sources


def test_an_answer_that_is_no_index_page_is_that_projects_trouble_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(*_: object, **__: object) -> requests.Response:
        response = requests.Response()
        response.status_code, response.url = 200, "https://index.example/simple/anchor/"
        response.headers["Content-Type"] = "image/png"
        return response

    monkeypatch.setattr(requests.Session, "get", answer)
    world = make_world(tmp_path)
    project = make_project("anchor", sources={"release": IndexSource(name="anchor")})
    (found,) = sources.refresh(world.farm, project)
    assert found.revision is None
    assert "the package index's answer is not understood" in found.error
    world.farm.ledger.close()

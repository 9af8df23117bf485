"""The preview: every sample becomes a file, every link in it leads to a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from status_html import addresses

from pybots_status import preview
from pybots_status.samples import SAMPLES


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("preview")
    assert preview.main(["preview", "--out", str(out), "--theme", "dark"]) == 0
    return out


@pytest.mark.deep
def test_every_sample_is_a_file(folder: Path) -> None:
    assert {path.stem for path in folder.glob("*.html")} == {*SAMPLES, "index"}


@pytest.mark.deep
def test_every_link_leads_to_a_file(folder: Path) -> None:
    there = {str(path.relative_to(folder)) for path in folder.rglob("*.*")}
    for page in folder.glob("*.html"):
        targets = {
            a
            for a in addresses(page.read_text("utf-8"))
            if not a.startswith(("#", "http", "data:"))
        }
        assert {target.partition("#")[0] for target in targets} <= there, page.name


def test_the_gallery_names_every_page(folder: Path) -> None:
    text = (folder / "index.html").read_text("utf-8")
    assert all(f'href="{name}.html"' in text for name in SAMPLES)
    assert '<html lang="en" class="dark"' in text


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("/", "console.html"),
        ("/?branch=main#r-1", "console.html#r-1"),
        ("/mail", "mail-archive.html"),
        ("/mail/7", "mail.html"),
        ("/run/7/log/test", "run.html"),
        ("/static/a.css", "static/a.css"),
        ("/unknown", "error-404.html"),
    ],
)  # fmt: skip
def test_addresses_become_files(address: str, file: str) -> None:
    assert preview.to_file(address) == file


def test_the_command_line_without_a_command_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        preview.main([])
    assert stopped.value.code == 2
    assert "preview" in capsys.readouterr().err

"""Every page with samples in every state, as files to open in a browser: no master, no server, no network.

python -m pybots_status preview --out DIR [--theme light|dark]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from pybots_status import links
from pybots_status.assets import assets
from pybots_status.pages import Page, Theme
from pybots_status.render import render, render_template
from pybots_status.samples import SAMPLES
from pybots_status.samples.common import frame

_FILES: Final = {
    "": "console.html",
    "mail": "mail-archive.html",
}


def to_file(address: str) -> str:
    """The preview file that stands for a farm's address: `/run/7` → `run.html`, `/static/x.css` → `static/x.css`."""
    path, _, fragment = address.partition("#")
    first, _, rest = path.partition("?")[0].strip("/").partition("/")
    if first == "static":
        return f"static/{rest}"
    name = _FILES.get(first, f"{first}.html") if not rest else f"{first}.html"
    target = name if name.removesuffix(".html") in SAMPLES else "error-404.html"
    return f"{target}#{fragment}" if fragment else target


def _write_pages(out: Path, theme: Theme) -> None:
    for name, page in SAMPLES.items():
        themed: Page = replace(page, frame=replace(page.frame, theme=theme))
        (out / f"{name}.html").write_text(render(themed, rewrite=to_file), "utf-8")


def _write_gallery(out: Path, theme: Theme) -> None:
    around = replace(frame("Gallery", here="/gallery"), theme=theme)
    context = {"names": list(SAMPLES)}
    html = render_template("gallery.html", around, context, rewrite=to_file)
    (out / "index.html").write_text(html, "utf-8")


def write(out: Path, theme: Theme = "") -> int:
    """Writes the preview into the folder `out` (made when missing); the number of pages written."""
    (out / "static").mkdir(parents=True, exist_ok=True)
    for asset in assets().values():
        (out / "static" / asset.name).write_bytes(asset.body)
    _write_pages(out, theme)
    _write_gallery(out, theme)
    return len(SAMPLES) + 1


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Exit status 0: written; 2: misused."""
    parser = argparse.ArgumentParser(prog="python -m pybots_status", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    preview = commands.add_parser("preview", help="write every page with samples in every state")
    preview.add_argument("--out", type=Path, required=True, help="the folder to write")
    preview.add_argument(
        "--theme",
        choices=("light", "dark"),
        default="",
        help="default: the reader's system decides",
    )
    asked = parser.parse_args(arguments)
    count = write(asked.out, asked.theme)
    print(f"{count} pages: open {asked.out / 'index.html'} ({links.CONSOLE} is console.html)")
    return 0

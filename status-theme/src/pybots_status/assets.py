"""The two files a page needs beside itself: one style sheet, one optional script. Named by content, so cached for ever.

The style sheet is kept in layers, one concern per file, and joined here in a fixed order: tokens → base → layout → parts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Final

LAYERS: Final = ("tokens", "base", "layout", "parts")


@dataclass(frozen=True, kw_only=True)
class Asset:
    """A static file. `name` contains a digest of `body`: it may be cached for ever."""

    name: str
    content_type: str
    body: bytes


def _static() -> Traversable:
    return files("pybots_status").joinpath("static")


def stylesheet() -> str:
    """All layers as one style sheet. A layer is `<layer>.css` or every `.css` file of the folder `<layer>`, by name."""
    pieces = [f"@layer {', '.join(LAYERS)};"]
    for layer in LAYERS:
        text = "\n".join(source.read_text("utf-8") for source in _sources(layer))
        pieces.append(f"@layer {layer} {{\n{text}\n}}")
    return "\n".join(pieces)


def _sources(layer: str) -> list[Traversable]:
    folder = _static().joinpath(layer)
    if not folder.is_dir():
        return [_static().joinpath(f"{layer}.css")]
    return sorted(
        (child for child in folder.iterdir() if child.name.endswith(".css")), key=lambda c: c.name
    )


def _asset(stem: str, extension: str, content_type: str, text: str) -> Asset:
    body = text.encode("utf-8")
    digest = hashlib.sha256(body).hexdigest()[:10]
    return Asset(name=f"{stem}-{digest}.{extension}", content_type=content_type, body=body)


@cache
def style() -> Asset:
    """The style sheet."""
    return _asset("status", "css", "text/css; charset=utf-8", stylesheet())


@cache
def script() -> Asset:
    """The optional script, as it is but for what only those need who read it: indents, and lines that are comments."""
    source = _static().joinpath("status.js").read_text("utf-8")
    lines = (line.strip() for line in source.splitlines())
    code = "\n".join(line for line in lines if line and not line.startswith("//"))
    return _asset("status", "js", "text/javascript; charset=utf-8", code + "\n")


@cache
def assets() -> Mapping[str, Asset]:
    """Every static file by name: what a web server offers under `links.static(name)`."""
    return MappingProxyType({asset.name: asset for asset in (style(), script())})


CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Sent by whoever serves the pages. They hold no inline script and no inline style, so nothing needs loosening."""

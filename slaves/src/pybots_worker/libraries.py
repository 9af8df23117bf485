"""System libraries that projects are compiled against (`system = ["libxml2"]`), and how they are found: by looking only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pybots_worker import contract


@dataclass(frozen=True, kw_only=True)
class Library:
    """What shows that a library can be compiled against: its header, or what pkg-config reads."""

    header: str
    config: str


LIBRARIES: Final[Mapping[contract.Library, Library]] = {
    "cairo": Library(header="cairo/cairo.h", config="cairo"),
    "enchant": Library(header="enchant-2/enchant.h", config="enchant-2"),
    "expat": Library(header="expat.h", config="expat"),
    "freetype": Library(header="freetype2/ft2build.h", config="freetype2"),
    "gmp": Library(header="gmp.h", config="gmp"),
    "libcurl": Library(header="curl/curl.h", config="libcurl"),
    "libev": Library(header="ev.h", config="libev"),
    "libffi": Library(header="ffi.h", config="libffi"),
    "libjpeg": Library(header="jpeglib.h", config="libjpeg"),
    "libmariadb": Library(header="mariadb/mysql.h", config="libmariadb"),
    "libpq": Library(header="postgresql/libpq-fe.h", config="libpq"),
    "libsodium": Library(header="sodium.h", config="libsodium"),
    "libuv": Library(header="uv.h", config="libuv"),
    "libxml2": Library(header="libxml2/libxml/xmlversion.h", config="libxml-2.0"),
    "libxslt": Library(header="libxslt/xslt.h", config="libxslt"),
    "libyaml": Library(header="yaml.h", config="yaml-0.1"),
    "mpfr": Library(header="mpfr.h", config="mpfr"),
    "openblas": Library(header="openblas_config.h", config="openblas"),
    "openssl": Library(header="openssl/ssl.h", config="openssl"),
    "sqlite3": Library(header="sqlite3.h", config="sqlite3"),
    "tiff": Library(header="tiff.h", config="libtiff-4"),
    "zeromq": Library(header="zmq.h", config="libzmq"),
    "zlib": Library(header="zlib.h", config="zlib"),
    "zstd": Library(header="zstd.h", config="libzstd"),
}
"""By the name a project asks with. Another one is a fact its worker's owner tells (`provides`) and a project `wants`."""


def provided(root: Path) -> list[str]:
    """The facts `system:<name>` of a machine whose /usr is `root`."""
    include = root / "include"
    headers = [include, *include.glob("*-linux-gnu*")]
    configs = [
        root / "share/pkgconfig",
        *root.glob("lib*/pkgconfig"),
        *root.glob("lib/*/pkgconfig"),
    ]
    return [
        f"system:{name}"
        for name, library in LIBRARIES.items()
        if any((folder / library.header).exists() for folder in headers)
        or any((folder / f"{library.config}.pc").exists() for folder in configs)
    ]

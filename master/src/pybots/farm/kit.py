"""The worker kit as the farm serves it: a wheel made of the package that this farm itself runs with.

Made in memory from the installed package and its metadata, the same bytes at every farm with this version of the kit:
an invitation can name its digest, and a volunteer's installer checks that.
"""

from __future__ import annotations

import hashlib
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Final

DISTRIBUTION: Final = "pybots-worker"
PACKAGE: Final = "pybots_worker"
EPOCH: Final = (2020, 1, 1, 0, 0, 0)
"""Of every file in the archive: its bytes depend on its contents only."""


class KitError(Exception):
    """This farm has no kit to give away; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Kit:
    """A wheel: its file name, its bytes, their sha256 in hexadecimal."""

    name: str
    data: bytes
    sha256: str


@cache
def kit() -> Kit:
    """The wheel (PEP 427). Raises KitError."""
    try:
        found = distribution(DISTRIBUTION)
    except PackageNotFoundError as error:
        raise KitError("the worker kit is not installed beside the farm") from error
    info = f"{PACKAGE}-{found.version}.dist-info"
    files = dict(_sources())
    for name in ("METADATA", "entry_points.txt"):
        text = found.read_text(name)
        if not text:
            raise KitError(f"the worker kit is installed without its {name}")
        files[f"{info}/{name}"] = text.encode()
    files[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: pybots\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    record = "".join(f"{name},{_digest(data)},{len(data)}\n" for name, data in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    data = _packed(files)
    return Kit(
        name=f"{PACKAGE}-{found.version}-py3-none-any.whl",
        data=data,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _sources() -> Iterator[tuple[str, bytes]]:
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise KitError("the worker kit is not installed beside the farm")
    root = Path(next(iter(spec.submodule_search_locations)))
    for path in sorted(root.rglob("*")):
        if path.is_file() and (path.suffix == ".py" or path.name == "py.typed"):
            yield f"{PACKAGE}/{path.relative_to(root).as_posix()}", path.read_bytes()


def _packed(files: dict[str, bytes]) -> bytes:
    made = BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return made.getvalue()


def _digest(data: bytes) -> str:
    """As RECORD has it."""
    made = urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    return f"sha256={made}"

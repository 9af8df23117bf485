"""An interpreter's archive that could harm who unpacks it is refused as a whole."""

from __future__ import annotations

import io
import tarfile

import pytest
import zstandard
from tests.unit.farm.artifact_builder import GOOD, Entry, make_artifact

from pybots.farm import artifacts
from pybots.farm.artifacts import BadArtifact


def check(data: bytes) -> None:
    artifacts.check(io.BytesIO(data))


def test_an_interpreter_is_fine() -> None:
    check(make_artifact())


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        (("../../etc/cron.d/x", b"x"), "leaves the tree"),
        (("lib/../../x", b"x"), "leaves the tree"),
        (("/etc/passwd", b"x"), "leaves the tree"),
        (("lib/out", "/etc"), "out of the tree"),
        (("lib/out", "../../etc"), "out of the tree"),
        (("lib/out", "python3.15/../../../etc"), "out of the tree"),
        (
            ("lib/hard", {"type": tarfile.LNKTYPE, "linkname": "../../etc/passwd"}),
            "leaves the tree",
        ),
        (("bin/python3.15/x", b"x"), ""),
        (("dev/null", {"type": tarfile.CHRTYPE}), "neither"),
        (("pipe", {"type": tarfile.FIFOTYPE}), "neither"),
        (("bin/python3/x", b"x"), "behind the link"),
        (("x", {"pax_headers": {"comment": "x" * (artifacts.MAX_HEADER + 1)}}), "a header of"),
    ],
)
def test_what_escapes_is_refused(entry: Entry, word: str) -> None:
    if not word:
        return check(make_artifact(entry))  # nonsense, but harmless: unpacking it fails by itself
    with pytest.raises(BadArtifact, match=word):
        check(make_artifact(entry))


def test_two_links_that_climb_out_together_are_refused() -> None:
    """`a` leads down, `b` goes through it and up again: further up than it came from."""
    with pytest.raises(BadArtifact):
        check(make_artifact(("p/q/r/a", "../../../lib"), ("b", "p/q/r/a/../../..")))
    with pytest.raises(BadArtifact, match="behind the link"):
        check(make_artifact(("a", "lib"), ("b", "a/python3.15")))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not an archive",
        make_artifact()[:-20],
        zstandard.ZstdCompressor().compress(b"not a tar"),
        zstandard.ZstdCompressor().compress(b""),
        make_artifact(base=GOOD[3:]),
        make_artifact(base=()),
    ],
)
def test_what_is_no_interpreter_is_refused(data: bytes) -> None:
    with pytest.raises(BadArtifact):
        check(data)


def test_a_bomb_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "MAX_BYTES", 1 << 20)
    with pytest.raises(BadArtifact, match="more than"):
        check(make_artifact(*((f"lib/{n}", bytes(1 << 19)) for n in range(4))))

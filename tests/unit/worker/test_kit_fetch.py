"""Blobs between farm and worker, without a network: what is refused, and that nothing is ever half there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pybots_worker import fetch
from pybots_worker.contract import Blob, Upload
from pybots_worker.fetch import FetchError, clean, download, is_loopback, upload

DATA = b"interpreter" * 1000


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "PAUSE", 0.0)


def blob(path: Path, data: bytes = DATA) -> Blob:
    path.write_bytes(data)
    return Blob(url=path.as_uri(), sha256=hashlib.sha256(DATA).hexdigest(), size=len(DATA))


def test_a_blob_arrives_whole(tmp_path: Path) -> None:
    download(blob(tmp_path / "a"), tmp_path / "b", local=True)
    assert (tmp_path / "b").read_bytes() == DATA


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (DATA[:-1], "came instead of"),
        (DATA + b"!", "more than"),
        (DATA[:-1] + b"!", "its sha256 is"),
    ],
)
def test_a_blob_that_is_not_what_was_announced_leaves_nothing(
    tmp_path: Path, data: bytes, said: str
) -> None:
    with pytest.raises(FetchError, match=said):
        download(blob(tmp_path / "a", data), tmp_path / "b", local=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_file_is_taken_from_a_local_caller_only(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="local"):
        download(blob(tmp_path / "a"), tmp_path / "b", local=False)
    to = Upload(url=(tmp_path / "c").as_uri(), token="t", max_bytes=1 << 20)
    with pytest.raises(FetchError, match="local"):
        upload(tmp_path / "a", to, local=False)


def test_a_download_can_be_stopped(tmp_path: Path) -> None:
    def stop() -> None:
        raise KeyError("stop")

    with pytest.raises(KeyError):
        download(blob(tmp_path / "a"), tmp_path / "b", local=True, check=stop)
    assert not (tmp_path / "b").exists()


def test_a_local_upload_is_a_file(tmp_path: Path) -> None:
    blob(tmp_path / "a")
    to = Upload(url=(tmp_path / "new/c").as_uri(), token="t", max_bytes=1 << 20)
    sent = upload(tmp_path / "a", to, local=True)
    assert (tmp_path / "new/c").read_bytes() == DATA
    assert (sent.sha256, sent.size) == (hashlib.sha256(DATA).hexdigest(), len(DATA))


def test_what_is_larger_than_the_farm_takes_is_not_sent(tmp_path: Path) -> None:
    blob(tmp_path / "a")
    to = Upload(url=(tmp_path / "c").as_uri(), token="t", max_bytes=10)
    with pytest.raises(FetchError, match="the farm takes 10"):
        upload(tmp_path / "a", to, local=True)


def test_tokens_and_passwords_stay_out_of_the_log() -> None:
    assert clean("https://me:secret@h.example:8/a/b?token=t#f") == "https://h.example:8/a/b"


def test_this_machine_is_reached_without_a_proxy() -> None:
    names = ("127.0.0.1", "::1", "[::1]", "localhost", "example.org", "10.0.0.1")
    assert [is_loopback(name) for name in names] == [True, True, True, True, False, False]

"""The store: a blob is whole or absent."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pybots.store import Store, StoreError, StoreFull


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", reserve=0)


def leftovers(store: Store) -> list[Path]:
    return list((store.root / "incoming").iterdir())


def test_a_blob_is_named_by_its_digest(store: Store) -> None:
    stored = store.put(b"hello")
    assert stored.sha256 == hashlib.sha256(b"hello").hexdigest()
    assert (stored.size, store.read(stored.sha256), store.has(stored.sha256)) == (5, b"hello", True)
    assert store.put(b"hello") == stored
    assert not leftovers(store)


def test_more_than_the_limit_is_refused_and_leaves_nothing(store: Store) -> None:
    with pytest.raises(StoreError, match="over the limit of 5 bytes"):
        store.put_stream([b"123", b"456"], limit=5)
    assert not leftovers(store)


def test_a_wrong_digest_is_refused_and_leaves_nothing(store: Store) -> None:
    wrong = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(StoreError, match=r"not .* as announced"):
        store.put_stream([b"hello"], limit=5, expect=wrong)
    assert not leftovers(store)
    assert not store.has(hashlib.sha256(b"hello").hexdigest())


def test_half_an_upload_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.incoming(limit=10) as incoming:
        incoming.write(b"half")
        raise RuntimeError("the connection broke")
    assert not leftovers(store)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "a" * 63, "A" * 64, "a" * 63 + "/"])
def test_only_digests_name_blobs(store: Store, name: str) -> None:
    with pytest.raises(StoreError, match="not a sha256 digest"):
        store.path(name)


def test_a_full_disk_is_said_before_anything_is_written(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", reserve=1 << 62)
    with pytest.raises(StoreFull, match="MiB are kept free"):
        store.put(b"hello")
    assert not leftovers(store)


def test_what_a_killed_process_left_is_swept(store: Store) -> None:
    (store.root / "incoming" / "dead").write_bytes(b"half")
    kept = store.put(b"whole")
    store.sweep()
    assert not leftovers(store)
    assert store.has(kept.sha256)


def test_a_sweep_leaves_alone_what_somebody_writes(store: Store) -> None:
    with store.incoming(limit=10) as incoming:
        incoming.write(b"half")
        Store(store.root, reserve=0).sweep()
        incoming.write(b"+half")
        kept = incoming.finish()
    assert store.read(kept.sha256) == b"half+half"
    assert not leftovers(store)

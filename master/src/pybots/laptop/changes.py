"""The successions a bisection can search: CPython's first-parent history, a project's history or releases, a dependency delta.

Each is a list of changes, oldest first, the good end at index 0 and the bad one at the end.
"""

from __future__ import annotations

import hashlib
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pybots.core import likely
from pybots.core.trail import Candidate
from pybots.farm import git
from pybots.laptop.workbench import LaptopError


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change. `id` is a sha or a version; `key` is equal for two that need not be told apart."""

    id: str
    key: str
    subject: str = ""
    author: str = ""
    date: str = ""
    files: tuple[str, ...] = ()
    weight: float = 1.0
    undoes: int | None = None

    @property
    def candidate(self) -> Candidate:
        return Candidate(key=self.key, label=self.id, weight=self.weight, undoes=self.undoes)

    @property
    def short(self) -> str:
        return self.id[:12] if len(self.id) == 40 else self.id


def history(repository: Path, good: str, bad: str, *, cpython: bool) -> list[Change]:
    """The first-parent commits from `good` to `bad` (shas), both included. Raises LaptopError when there is no way.

    `cpython` says that folders have CPython's meaning: what no build reads makes no difference."""
    if not git.is_ancestor(repository, good, bad):
        raise LaptopError(
            f"{good[:12]} is no ancestor of {bad[:12]}: name an older good and a newer bad"
        )
    records = list(_log(repository, good, bad))
    if records and records[0][5] and not _is_first_parent(records[0][5], good, repository):
        raise LaptopError(
            f"{good[:12]} is not in the first-parent history of {bad[:12]}; name a commit of that line"
        )
    records = [next(_log(repository, "", good)), *records]
    keys = _keys(repository, [record[0] for record in records], cpython)
    places = {record[0]: index for index, record in enumerate(records)}
    changes = []
    for sha, author, date, subject, message, _, files in records:
        reverted = likely.reverted(message)
        changes.append(
            Change(
                id=sha,
                key=keys[sha],
                subject=subject[:500],
                author=author[:200],
                date=date,
                files=tuple(files[: git.MAX_FILES]),
                weight=likely.weight(files) if cpython else 1.0,
                undoes=places.get(reverted),
            )
        )
    return changes


def _is_first_parent(parents: str, good: str, repository: Path) -> bool:
    return parents.split()[0] == good or git.resolve(repository, parents.split()[0]) == good


Record = tuple[str, str, str, str, str, str, list[str]]
"""sha, author, date, subject, message, parents, files"""


def _log(repository: Path, good: str, bad: str) -> Iterator[Record]:
    """The commits after `good` up to `bad` (just `bad` when there is no `good`), oldest first."""
    # Separators that no commit message can contain, because nobody knew them when it was written.
    mark, field = f"\x1e{secrets.token_hex(16)}", f"\x1f{secrets.token_hex(16)}"
    form = mark + field.join(("%H", "%an <%ae>", "%cI", "%s", "%B", "%P")) + field
    output = git.git(
        repository, "log", "--first-parent", "--diff-merges=first-parent", "--no-renames", "--reverse",
        "--name-only", "--no-color", f"--format={form}",
        *([f"{good}..{bad}"] if good else ["--max-count=1", bad]), "--",
    )  # fmt: skip
    for record in output.split(mark)[1:]:
        sha, author, date, subject, message, parents, files = record.split(field)
        yield sha, author, date, subject, message, parents, [n for n in files.split("\n") if n]


def _keys(repository: Path, shas: Sequence[str], cpython: bool) -> dict[str, str]:
    """What tells the commits' contents apart: their trees, without what no build reads where it is CPython."""
    asked = [f"{sha}^{{tree}}" for sha in shas] + (
        [f"{sha}:Misc" for sha in shas] if cpython else []
    )
    trees = _objects(repository, asked)
    left_out = {name.encode() for name in git.LEFT_OUT} if cpython else set()
    keys = {}
    for index, sha in enumerate(shas):
        digest = hashlib.sha256()
        misc = trees[len(shas) + index] if cpython else None
        for name, identity in _entries(trees[index] or b""):
            if name not in left_out and not (name == b"Misc" and misc is not None):
                digest.update(name + b"\0" + identity)
        for name, identity in _entries(misc or b""):
            if b"Misc/" + name not in left_out:
                digest.update(b"Misc/" + name + b"\0" + identity)
        keys[sha] = digest.hexdigest()
    return keys


def _entries(tree: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, mode and object) of a raw tree object."""
    place = 0
    while place < len(tree):
        space, end = tree.index(b" ", place), tree.index(b"\0", place)
        yield tree[space + 1 : end], tree[place:space] + tree[end + 1 : end + 21]
        place = end + 21


def _objects(repository: Path, names: Sequence[str]) -> list[bytes | None]:
    """The raw objects by name; None for one that is not there. One process for all. Raises git.GitError."""
    done = subprocess.run(
        ["git", "-C", str(repository), "cat-file", "--batch"],
        input="".join(f"{name}\n" for name in names).encode(),
        capture_output=True,
        env=git.environment(),
        check=False,
    )
    if done.returncode:
        raise git.GitError(f"git cat-file: {done.stderr.decode('utf-8', 'replace').strip()}")
    found: list[bytes | None] = []
    data, place = done.stdout, 0
    while len(found) < len(names):
        line = data[place : (end := data.index(b"\n", place))].split(b" ")
        place = end + 1
        if line[-1] == b"missing" or len(line) != 3:
            found.append(None)
            continue
        size = int(line[2])
        found.append(data[place : place + size])
        place += size + 1
    return found

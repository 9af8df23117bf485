"""Real CPython source on a Debian machine: the .orig tarball of the source package, imported into a git repository.

Nothing of the machine's apt configuration is changed: lists and state live in a folder of their own.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

SOURCES = (Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*.*")))


class NoSourceError(Exception):
    """Debian's source package can't be had here; the text is apt's own."""


def tarball(package: str, cache: Path, *, suite: str = "") -> Path:
    """The .orig tarball of a source package such as `python3.11`, downloaded into `cache` once."""
    cache.mkdir(parents=True, exist_ok=True)
    found = sorted(cache.glob(f"{package}_*.orig.tar.*"))
    if not found:
        _download(package, cache, suite)
        found = sorted(cache.glob(f"{package}_*.orig.tar.*"))
    if not found:
        raise NoSourceError(f"apt-get source {package} brought no .orig tarball")
    return next(path for path in found if not path.name.endswith(".asc"))


def _download(package: str, cache: Path, suite: str) -> None:
    state = cache / "apt"
    parts = state / "parts"
    for folder in (parts, state / "lists" / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    for path in SOURCES:
        if path.is_file() and path.suffix in (".list", ".sources"):
            (parts / path.name).write_text(_as_source(path.read_text(), suite))
    options = (
        "-o", "Dir::Etc::SourceList=/dev/null", "-o", f"Dir::Etc::SourceParts={parts}",
        "-o", f"Dir::State::Lists={state / 'lists'}", "-o", "APT::Sandbox::User=root",
        "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=",
        "-o", "Acquire::Languages=none",
    )  # fmt: skip
    _apt(cache, "update", "-qq", *options)
    # The suite itself, not its security updates: those files may be gone while the index still names them.
    release = suite or _codename()
    _apt(cache, "source", "--download-only", "-qq", *options, f"{package}/{release}")


def _codename() -> str:
    """`bookworm`: the Debian release of this machine."""
    found = re.search(r"(?m)^VERSION_CODENAME=(.+)$", Path("/etc/os-release").read_text())
    if not found:
        raise NoSourceError("/etc/os-release names no Debian release")
    return found[1].strip("\"'")


def _as_source(text: str, suite: str) -> str:
    """The same archives as source archives (one-line and deb822 forms), of another suite if named."""
    text = re.sub(r"(?m)^Types:.*$", "Types: deb-src", text)
    text = re.sub(r"(?m)^deb\s", "deb-src ", text)
    return re.sub(r"\bbookworm\b", suite, text) if suite else text


def _apt(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        ["apt-get", *arguments], cwd=folder, capture_output=True, text=True, timeout=600
    )
    if done.returncode:
        raise NoSourceError(f"apt-get {arguments[0]}: {done.stderr.strip()[-600:]}")


def git(repository: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Debian", "-c", "user.email=debian@example.org")
    done = subprocess.run(
        ["git", *identity, "-C", str(repository), *arguments],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def repository(source: Path, where: Path) -> Path:
    """A git repository whose only commit is the tarball's tree, on branch main."""
    where.mkdir(parents=True)
    subprocess.run(["tar", "--no-same-owner", "-xf", str(source), "-C", str(where)], check=True)
    (tree,) = where.iterdir()
    git(tree, "init", "--quiet", "--initial-branch=main")
    git(tree, "add", "--all", "--force")
    git(tree, "commit", "--quiet", "-m", f"Import {source.name}")
    return tree

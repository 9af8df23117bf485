"""A scripted git repository: every commit has an author and a date that were passed in, so that shas are repeatable."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

STEP = timedelta(hours=1)
"""How much later than its parent a commit is when no date is given."""

# Nothing of the machine's or the user's git configuration may change a sha or ask for a key.
_ALONE = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
_SETTINGS = {
    "gc.auto": "0",
    "core.autocrlf": "false",
    "core.fsync": "none",
    "uploadpack.allowFilter": "true",
    "uploadpack.allowAnySHA1InWant": "true",
}


class GitError(Exception):
    """git refused; the text is what it said."""


@dataclass(frozen=True)
class Person:
    """Who wrote a commit."""

    name: str
    email: str


@dataclass(frozen=True)
class Repository:
    """A git repository with a work tree at `path`."""

    path: Path

    @classmethod
    def init(cls, path: Path) -> Repository:
        """A new, empty repository on branch `main`, which may be cloned without its blobs."""
        path.mkdir(parents=True, exist_ok=True)
        repository = cls(path)
        repository.git("init", "--quiet", "--initial-branch=main")
        with (path / ".git" / "config").open("a") as config:
            for key, value in _SETTINGS.items():
                section, name = key.split(".")
                config.write(f"[{section}]\n\t{name} = {value}\n")
        return repository

    def git(self, *args: str, env: Mapping[str, str] | None = None) -> str:
        """What git prints. Raises GitError when it fails."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        done = subprocess.run(
            ["git", *args], cwd=self.path, env={**clean, **_ALONE, **(env or {})},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise GitError(f"git {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def head(self) -> str:
        """The sha of the branch's head."""
        return self.git("rev-parse", "HEAD")

    def count(self) -> int:
        """How many commits there are up to the head; 0 in an empty repository."""
        try:
            return int(self.git("rev-list", "--count", "HEAD"))
        except GitError:
            return 0

    def next_date(self) -> datetime:
        """One step after the head's date."""
        seconds = int(self.git("log", "-1", "--format=%ct"))
        return datetime.fromtimestamp(seconds, UTC) + STEP

    def commit(self, message: str, author: Person, at: datetime) -> str:
        """Commit the work tree as it is. Returns the sha; raises GitError when nothing changed."""
        self.git("add", "--all")
        env = {
            "GIT_AUTHOR_NAME": author.name,
            "GIT_AUTHOR_EMAIL": author.email,
            "GIT_AUTHOR_DATE": f"{int(at.timestamp())} +0000",
        }
        env |= {key.replace("AUTHOR", "COMMITTER"): value for key, value in env.items()}
        self.git("commit", "--quiet", "--no-verify", "--no-gpg-sign", "-m", message, env=env)
        return self.head()

    def write(self, files: Mapping[str, str], *, executable: Iterable[str] = ()) -> None:
        """Put `files` (path: text) into the work tree."""
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for name in executable:
            (self.path / name).chmod(0o755)

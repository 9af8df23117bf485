"""Reading CPython's history with the git binary: heads, commits, content keys, source archives.

The repository is either a folder of this machine, read in place, or a blobless mirror in the farm's folder. Nothing
here needs a blob but `archive`, and that one leaves out what no build needs, so a lacking blob there is no obstacle.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pybots.core.model import Commit

# What no build reads: documentation and metadata. The rest of Misc/ holds what `make install` wants (python.man, *.in).
LEFT_OUT: Final = (
    "Doc",
    ".github",
    ".azure-pipelines",
    ".devcontainer",
    ".mailmap",
    ".pre-commit-config.yaml",
    ".readthedocs.yml",
    "Misc/NEWS.d",
    "Misc/NEWS",
    "Misc/HISTORY",
    "Misc/ACKS",
    "Misc/svnmap.txt",
    "README.rst",
    "CODE_OF_CONDUCT.md",
)
_REDIRECT: Final = re.compile(
    r"^warning: redirecting to (https?://[!#-&(-;=?-\[\]-_a-~]{1,500})$", re.MULTILINE
)
"""No quote, backslash or angle bracket: the address is proposed as a line of a project's file."""
MAX_FILES: Final = 300
MAX_MESSAGE: Final = 20_000


class GitError(Exception):
    """git failed; the text is what it says itself, and a mend where one is known."""


def is_local(repository: str) -> bool:
    """Whether the repository is a folder of this machine, to be read in place."""
    return repository.startswith(("/", "~", "./", "../")) or Path(repository).is_dir()


def local_path(repository: str) -> Path:
    return Path(repository).expanduser().resolve()


def git(repository: Path | None, *arguments: str, timeout: float = 600) -> str:
    """The output of one git command. Raises GitError."""
    return _run(repository, arguments, timeout).stdout.decode("utf-8", "replace")


def _run(
    repository: Path | None, arguments: Sequence[str], timeout: float
) -> subprocess.CompletedProcess[bytes]:
    command = ["git", *(["-C", str(repository)] if repository else []), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, env=environment(), timeout=timeout, check=False
        )
    except FileNotFoundError:
        raise GitError("git is not installed (Debian: apt-get install git)") from None
    except subprocess.TimeoutExpired:
        raise GitError(f"git {arguments[0]} took longer than {timeout:.0f} s") from None
    if done.returncode:
        raise GitError(f"git {arguments[0]}: {_reason(done.stderr.decode('utf-8', 'replace'))}")
    return done


def _reason(said: str) -> str:
    """The line that tells why git failed: its last words are often mere advice ("… and the repository exists.")."""
    lines = said.strip().splitlines() or ["failed"]
    return next((line for line in lines if line.startswith(("fatal: ", "error: "))), lines[-1])


def environment() -> dict[str, str]:
    """No prompts, no user's configuration, and folders of another owner are read too."""
    return {
        **{
            k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k == "GIT_SSL_CAINFO"
        },
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
        "LC_ALL": "C.UTF-8",
    }


def update_mirror(repository: str, mirror: Path, refs: Sequence[str]) -> Path:
    """Bring the mirror up to date, making it first if needed; a local repository is returned as it is.

    Raises GitError with the mend when it cannot be reached."""
    if is_local(repository):
        local = local_path(repository)
        if not local.is_dir():
            raise GitError(f"no repository at {local}; check `cpython.repository` or --cpython")
        return local
    if not (mirror / "HEAD").exists():
        _make_mirror(repository, mirror)
    git(mirror, "remote", "set-url", "origin", repository)
    refspecs = [f"+refs/*/{ref}:refs/*/{ref}" for ref in refs]
    try:
        git(mirror, "fetch", "--quiet", "--no-tags", "--filter=blob:none", "origin", *refspecs)
    except GitError as error:
        raise GitError(
            f"{repository} cannot be reached ({error}); give another repository with "
            "--cpython <git url or path>, or mend the network"
        ) from error
    return mirror


def _make_mirror(repository: str, mirror: Path) -> None:
    """An empty mirror, there as a whole or not at all: one without its remote could never be mended by fetching."""
    making = mirror.with_name(f"{mirror.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    git(None, "init", "--bare", "--quiet", str(making))
    git(making, "remote", "add", "origin", repository)
    git(making, "config", "remote.origin.promisor", "true")
    git(making, "config", "remote.origin.partialclonefilter", "blob:none")
    making.rename(mirror)


def resolve(repository: Path, ref: str) -> str:
    """The commit a branch, tag or revision stands for. Raises GitError."""
    for name in (f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/remotes/origin/{ref}", ref):
        try:
            return git(repository, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()
        except GitError:
            continue
    raise GitError(f"{repository} has no branch, tag or commit {ref!r}")


def has(repository: Path, sha: str) -> bool:
    """Whether the repository has this commit."""
    try:
        git(repository, "cat-file", "-e", f"{sha}^{{commit}}")
    except GitError:
        return False
    return True


def is_ancestor(repository: Path, older: str, newer: str) -> bool:
    """Whether `newer` contains `older`."""
    try:
        git(repository, "merge-base", "--is-ancestor", older, newer)
    except GitError:
        return False
    return True


def position(repository: Path, sha: str) -> int:
    """How many commits the first-parent history up to and including `sha` has."""
    return int(git(repository, "rev-list", "--first-parent", "--count", sha))


def commits(
    repository: Path, branch: str, head: str, *, since: str | None, last_position: int, limit: int
) -> list[Commit]:
    """The first-parent commits after `since` (or the newest `limit`), oldest first, with their positions.

    `last_position` is the position of `since`; when there is no `since` it is the position of `head`.
    """
    span = [f"{since}..{head}"] if since else [f"--max-count={limit}", head]
    # Separators that no commit message can contain, because nobody knew them when it was written.
    mark, field = f"\x1e{secrets.token_hex(16)}", f"\x1f{secrets.token_hex(16)}"
    form = mark + field.join(("%H", "%an", "%ae", "%ct", "%s", "%B")) + field
    output = git(
        repository, "log", "--first-parent", "--diff-merges=first-parent", "--no-renames",
        "--name-only", "--no-color", f"--format={form}", *span, "--",
    )  # fmt: skip
    records = [record.split(field) for record in output.split(mark)[1:]][::-1]
    first = last_position + 1 if since else last_position - len(records) + 1
    return [
        _commit(repository, branch, first + index, record) for index, record in enumerate(records)
    ]


def _commit(repository: Path, branch: str, place: int, record: Sequence[str]) -> Commit:
    sha, author, email, committed, title, message, files = record
    return Commit(
        sha=sha,
        branch=branch,
        position=place,
        author=author[:200],
        email=email[:200],
        committed=float(committed),
        title=title[:500],
        message=message.strip()[:MAX_MESSAGE],
        files=tuple(line for line in files.split("\n") if line)[:MAX_FILES],
        content_key=content_key(repository, sha),
    )


def content_key(repository: Path, sha: str) -> str:
    """A digest of the tree without what no build reads: commits with equal keys share interpreters."""
    lines = _tree(repository, f"{sha}^{{tree}}", "")
    if any(line.endswith("\tMisc") for line in lines):
        lines = [line for line in lines if not line.endswith("\tMisc")]
        lines += _tree(repository, f"{sha}:Misc", "Misc/")
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _tree(repository: Path, tree: str, prefix: str) -> list[str]:
    rows = (row.split("\t", 1) for row in git(repository, "ls-tree", "-z", tree).split("\0") if row)
    return [f"{facts}\t{prefix}{name}" for facts, name in rows if f"{prefix}{name}" not in LEFT_OUT]


def archive(repository: Path, sha: str) -> Iterator[bytes]:
    """The tree of a commit as an uncompressed tar, without what no build reads. Raises GitError at the end."""
    exclude = [f":(exclude){path}" for path in LEFT_OUT]
    command = ["git", "-C", str(repository), "archive", "--format=tar", sha, "--", ".", *exclude]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        while chunk := process.stdout.read(1 << 20):
            yield chunk
        words = process.stderr.read().decode("utf-8", "replace").strip()
    if process.returncode:
        raise GitError(f"git archive {sha[:12]}: {words.splitlines()[-1] if words else 'failed'}")


def version(repository: Path, sha: str) -> tuple[int, int] | None:
    """CPython's (major, minor) at a commit, read from Include/patchlevel.h; None when it has none."""
    try:
        text = git(repository, "show", f"{sha}:Include/patchlevel.h")
    except GitError:
        return None
    found = {
        words[1]: words[2]
        for line in text.splitlines()
        if len(words := line.split()) >= 3 and words[0] == "#define"
    }
    try:
        return int(found["PY_MAJOR_VERSION"]), int(found["PY_MINOR_VERSION"])
    except (KeyError, ValueError):
        return None


def ls_remote(url: str, branch: str) -> tuple[str, str]:
    """(The sha a branch of a project's repository stands at now, its default branch when empty; where its address leads
    to when it has moved, else ""). Raises GitError."""
    ref = f"refs/heads/{branch}" if branch else "HEAD"
    done = _run(None, ("ls-remote", "--exit-code", url, ref), 120)
    return done.stdout.decode().split()[0], moved_to(url, done.stderr.decode("utf-8", "replace"))


def moved_to(url: str, said: str) -> str:
    """Where a host sends those who ask for `url`, by what git says of it. Its own ending for the same place is no move.

    >>> moved_to("https://a.example/x", "warning: redirecting to https://b.example/x.git/\\n")
    'https://b.example/x.git'
    >>> moved_to("https://a.example/x", "warning: redirecting to https://a.example/x.git/\\n")
    ''
    """
    found = _REDIRECT.search(said)
    new = found[1].rstrip("/") if found else ""
    return "" if new.removesuffix(".git") == url.rstrip("/").removesuffix(".git") else new

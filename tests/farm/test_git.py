"""Reading CPython's history: positions, content keys, archives, mirrors. Real git, small repositories."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pybots.farm import git
from pybots.farm.git import GitError

FILES = {
    "Include/patchlevel.h": "#define PY_MAJOR_VERSION 3\n#define PY_MINOR_VERSION 15\n",
    "Lib/os.py": "pass\n",
    "Doc/index.rst": "Words\n",
    "Misc/python.man": "man\n",
    "Misc/svnmap.txt": "old\n",
    "Misc/NEWS.d/1.rst": "news\n",
}


def run(repository: Path, *words: str) -> str:
    identity = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
                for what, value in (("NAME", "Ada"), ("EMAIL", "ada@example.org"))}  # fmt: skip
    done = subprocess.run(
        ["git", "-C", str(repository), *words],
        env={**os.environ, **identity, "GIT_CONFIG_GLOBAL": "/dev/null"},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip()


def commit(repository: Path, files: dict[str, str], title: str) -> str:
    for name, text in files.items():
        path = repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    run(repository, "add", "--all")
    run(repository, "commit", "--quiet", "-m", title)
    return run(repository, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = tmp_path / "cpython"
    path.mkdir()
    run(path, "init", "--quiet", "--initial-branch=main")
    commit(path, FILES, "The first")
    return path


def names(repository: Path, sha: str) -> set[str]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(git.archive(repository, sha)))) as tar:
        return {member.name for member in tar if member.isfile()}


def test_an_archive_leaves_out_what_no_build_reads(repository: Path) -> None:
    head = git.resolve(repository, "main")
    assert names(repository, head) == {"Include/patchlevel.h", "Lib/os.py", "Misc/python.man"}


def test_a_blob_that_no_build_needs_may_be_missing(repository: Path) -> None:
    head = git.resolve(repository, "main")
    blob = run(repository, "rev-parse", "HEAD:Misc/svnmap.txt")
    (repository / ".git/objects" / blob[:2] / blob[2:]).unlink()
    assert "Lib/os.py" in names(repository, head)
    assert git.content_key(repository, head)
    assert len(git.commits(repository, "main", head, since=None, last_position=1, limit=9)) == 1


@pytest.mark.parametrize(
    "path", ["Doc/index.rst", "Misc/svnmap.txt", "Misc/NEWS.d/2.rst", ".github/CODEOWNERS"]
)
def test_documentation_and_metadata_do_not_change_the_content_key(
    repository: Path, path: str
) -> None:
    before = git.content_key(repository, git.resolve(repository, "main"))
    assert git.content_key(repository, commit(repository, {path: "new\n"}, "Docs")) == before


@pytest.mark.parametrize("path", ["Lib/os.py", "Misc/python.man", "Python/new.c", "configure"])
def test_everything_else_does(repository: Path, path: str) -> None:
    before = git.content_key(repository, git.resolve(repository, "main"))
    assert git.content_key(repository, commit(repository, {path: "new\n"}, "Code")) != before


def test_commits_have_positions_along_the_first_parents(repository: Path) -> None:
    first = git.resolve(repository, "main")
    run(repository, "checkout", "--quiet", "-b", "side")
    commit(repository, {"Lib/a.py": "a\n"}, "Aside")
    run(repository, "checkout", "--quiet", "main")
    commit(repository, {"Lib/b.py": "b\n"}, "Straight")
    run(repository, "merge", "--quiet", "--no-edit", "-m", "Merge the side", "side")
    head = git.resolve(repository, "main")
    assert git.position(repository, head) == 3
    everything = git.commits(repository, "main", head, since=None, last_position=3, limit=99)
    assert [(c.position, c.title) for c in everything] == [
        (1, "The first"),
        (2, "Straight"),
        (3, "Merge the side"),
    ]
    assert everything[2].files == ("Lib/a.py",)
    assert (
        git.commits(repository, "main", head, since=first, last_position=1, limit=0)
        == everything[1:]
    )


def test_hostile_commit_texts_stay_in_their_fields(repository: Path) -> None:
    title = "<script>\x1b[31m | %H \x1e\x1f\x1f\x1f"
    sha = commit(repository, {"Lib/\tx\n.py": "x\n"}, f"{title}\n\nBody\n\nSigned: me")
    (found,) = git.commits(repository, "main", sha, since="HEAD~1", last_position=1, limit=0)
    assert (found.sha, found.author, found.title) == (sha, "Ada", title)
    assert found.message.endswith("Signed: me")
    assert len(found.files) == 1


def test_tags_branches_and_revisions_are_resolved(repository: Path) -> None:
    head = git.resolve(repository, "main")
    run(repository, "tag", "-a", "-m", "x", "v3.15.0")
    assert {git.resolve(repository, ref) for ref in ("v3.15.0", "HEAD", head, head[:10])} == {head}
    with pytest.raises(GitError, match="no branch, tag or commit 'nosuch'"):
        git.resolve(repository, "nosuch")


def test_the_version_is_read_from_the_tree(repository: Path) -> None:
    assert git.version(repository, git.resolve(repository, "main")) == (3, 15)
    (repository / "Include/patchlevel.h").unlink()
    assert git.version(repository, commit(repository, {"x": "x"}, "Gone")) is None


def test_a_mirror_is_made_and_brought_up_to_date(repository: Path, tmp_path: Path) -> None:
    run(repository, "tag", "v3.15.0")
    run(repository, "config", "uploadpack.allowFilter", "true")
    mirror = tmp_path / "mirror.git"
    url = repository.as_uri()
    assert git.update_mirror(url, mirror, ["main", "v3.15.0"]) == mirror
    assert git.resolve(mirror, "v3.15.0") == git.resolve(repository, "main")
    new = commit(repository, {"Lib/c.py": "c\n"}, "More")
    git.update_mirror(url, mirror, ["main"])
    assert git.resolve(mirror, "main") == new
    assert "Lib/c.py" in names(mirror, new), "blobs come when they are needed"


def test_a_mirror_that_was_killed_in_the_making_is_made_again(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(repository, "config", "uploadpack.allowFilter", "true")
    mirror, real = tmp_path / "mirror.git", git.git

    def killed(where: Path | None, *words: str, **more: float) -> str:
        if words[0] == "remote":
            raise KeyboardInterrupt
        return real(where, *words, **more)

    monkeypatch.setattr(git, "git", killed)
    with pytest.raises(KeyboardInterrupt):
        git.update_mirror(repository.as_uri(), mirror, ["main"])
    monkeypatch.undo()
    git.update_mirror(repository.as_uri(), mirror, ["main"])
    assert git.resolve(mirror, "main") == git.resolve(repository, "main")


def test_a_local_repository_is_read_in_place(repository: Path, tmp_path: Path) -> None:
    assert git.update_mirror(str(repository), tmp_path / "unused", ["main"]) == repository.resolve()


def test_what_cannot_be_reached_is_said_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(GitError, match=r"no repository at .*--cpython"):
        git.update_mirror(str(tmp_path / "nowhere"), tmp_path / "m", ["main"])
    with pytest.raises(GitError, match=r"cannot be reached .* --cpython"):
        git.update_mirror((tmp_path / "nowhere").as_uri(), tmp_path / "m", ["main"])


def test_a_repository_that_has_moved_is_found_and_its_new_address_told(
    repository: Path, tmp_path: Path
) -> None:
    """A real host's answer, over HTTP, with git's own words for it."""
    run(repository, "clone", "--quiet", "--bare", str(repository), str(tmp_path / "new.git"))
    run(tmp_path / "new.git", "update-server-info")

    class Host(SimpleHTTPRequestHandler):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given, directory=str(tmp_path))

        def do_GET(self) -> None:
            if self.path.startswith("/old/"):
                self.send_response(301)
                self.send_header("Location", f"{here}/new.git/{self.path.removeprefix('/old/')}")
                self.end_headers()
            else:
                super().do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Host) as server:
        here = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            sha = run(repository, "rev-parse", "HEAD")
            assert git.ls_remote(f"{here}/old", "") == (sha, f"{here}/new.git")
            assert git.ls_remote(f"{here}/new.git", "") == (sha, "")
        finally:
            server.shutdown()

"""The plain way: `git bisect run` with the default build from the same ends, timed, to compare a session of ours with."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import uv
from culprits_corpus import install_of, project_of

from pybots.farm import git
from pybots.laptop.revisions import revision_of
from pybots.laptop.workbench import Workbench
from pybots_worker import contract, layout

SCRIPT: Final = """\
set -u
git clean -fdxq
rm -rf "$PROBE_ROOT/prefix" "$PROBE_ROOT/venv" "$PROBE_ROOT/tree"
{ ./configure --prefix="$PROBE_ROOT/prefix" && make -j"$(nproc)" && make install; } >"$PROBE_ROOT/build.log" 2>&1 || exit 125
mkdir "$PROBE_ROOT/tree" && tar -xf "$PROBE_SDIST" -C "$PROBE_ROOT/tree" --strip-components=1 || exit 125
"$PROBE_UV" venv -q --python "$PROBE_ROOT/prefix/bin/python3" --no-project "$PROBE_ROOT/venv" || exit 125
export VIRTUAL_ENV="$PROBE_ROOT/venv" PATH="$PROBE_ROOT/venv/bin:$PATH" HOME="$PROBE_ROOT/home"
cd "$PROBE_ROOT/tree"
if [ -s "$PROBE_ROOT/requirements.txt" ]; then
    "$PROBE_UV" pip install -q $PROBE_NEWEST --requirement "$PROBE_ROOT/requirements.txt" || exit 125
fi
chown -R "$PROBE_OWNER" "$PROBE_ROOT/tree" "$PROBE_ROOT/venv" "$PROBE_ROOT/home"
$PROBE_AS sh -c "$PROBE_INSTALL" >"$PROBE_ROOT/install.log" 2>&1 || exit 125
$PROBE_AS sh -c "$PROBE_TEST" >"$PROBE_ROOT/test.log" 2>&1 && exit 0
exit 1
"""
"""What a person would hand to `git bisect run`: the default build, a fresh environment, the exit status. The variables have
names of their own: configure listens to INSTALL and AS."""
NOBODY: Final = 65534


def plain(
    bench: Workbench, case: Mapping[str, Any], scope: str, cases: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """One case the plain way; and the ratio of our whole session to it, where `cases` has its row.

    Strangers' tests run as nobody where we are root: nothing else is between them and this machine."""
    ends = case["ranges"][scope]
    with tempfile.TemporaryDirectory(prefix="pybots-plain-") as name:
        root = Path(name)
        root.chmod(0o755)
        clone = _clone(bench, root)
        env = _environment(bench, case, root)
        began = time.monotonic()
        _bisect(clone, env, "start", "--first-parent", ends["bad"], ends["good"])
        said = _bisect(clone, env, "run", "sh", str(root / "probe.sh"))
        seconds = time.monotonic() - began
    found = re.search(r"^([0-9a-f]{40}) is the first bad commit", said, re.MULTILINE)
    ours = next((row for row in cases if row["id"] == case["id"]), {})
    spent, search = ours.get("wall_seconds"), ours.get("seconds")
    return {
        "id": case["id"],
        "range": scope,
        "culprit": found[1] if found else None,
        "exact": bool(found and found[1] == case["culprit"]),
        "steps": len(re.findall(r"^running ", said, re.MULTILINE)),
        "seconds": round(seconds, 1),
        "ours_seconds": spent,
        "ours_probes": ours.get("probes"),
        "ours_builds": ours.get("builds"),
        "ratio": round(spent / seconds, 3) if spent else None,
        "search_ratio": round(search / seconds, 3) if search else None,
        "said": "" if found else said[-1000:],
    }


def _clone(bench: Workbench, root: Path) -> Path:
    clone = root / "cpython"
    git.git(
        None, "clone", "--quiet", "--shared", "--no-checkout", str(bench.repository), str(clone)
    )
    # No build reads it, and a repository may lack it.
    git.git(clone, "sparse-checkout", "set", "--no-cone", "/*", "!/Misc/svnmap.txt")
    return clone


def _bisect(clone: Path, env: Mapping[str, str], *words: str) -> str:
    command = ["git", "-C", str(clone), "bisect", *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def _environment(bench: Workbench, case: Mapping[str, Any], root: Path) -> dict[str, str]:
    """What the script reads; its own file and the requirements are written beside."""
    project = project_of(case)
    revision = revision_of(bench, project)
    assert isinstance(revision.source, contract.SdistSource)
    install = install_of(case)
    (root / "requirements.txt").write_text("".join(f"{line}\n" for line in install.requirements))
    (root / "probe.sh").write_text(SCRIPT)
    (root / "home").mkdir()
    uv_bin, venv = uv.find_uv_bin(), f"{root}/venv"
    words = [" ".join(command[2:]) if command[0] == "sh" else " ".join(command) for command in install.commands]  # fmt: skip
    if install.project:
        isolated = "" if install.build_isolation else "--no-build-isolation "
        words.insert(0, f"{layout.UV} pip install {isolated}.")
    commands = " && ".join(words or ["true"]).replace(layout.UV, uv_bin).replace(layout.VENV, venv)
    given = {str(name): str(value) for name, value in (case.get("env") or {}).items()}
    root_user = os.geteuid() == 0
    return {
        **git.environment(), **given,
        "PROBE_ROOT": str(root), "PROBE_UV": uv_bin,
        "PROBE_SDIST": str(bench.farm.store.path(revision.source.blob.sha256)),
        "PROBE_NEWEST": f"--exclude-newer {install.as_of}" if install.as_of else "",
        "PROBE_INSTALL": commands, "PROBE_TEST": str(case.get("test") or "python -m pytest -q"),
        "PROBE_OWNER": f"{NOBODY}:{NOBODY}" if root_user else f"{os.geteuid()}:{os.getegid()}",
        "PROBE_AS": f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups" if root_user else "",
    }  # fmt: skip

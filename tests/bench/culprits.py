"""Bisections over real history: `python tests/bench/culprits.py CORPUS.json --cpython REPO --range near|mid|wide`.

A corpus is a JSON file with `cases` (real commits that broke real projects, with the true culprit and ranges around it)
and `decoys` (failures no commit of the range is to be blamed for). Every case runs the code of `pybots bisect`; nothing
the corpus says of the answer is used before the search has ended. Printed and written with --json:

    cases    id, exact, culprit, status, probes, builds, seconds (of the search; ends and confirmation beside it), floor, ratio
    decoys   id, blamed, status, reason
    totals   exact, wrong, undecided, false blame, ratio to the floor, ratio to plain `git bisect run`

The floor is the time to build and to test exactly the commits that a noiseless bisection visits, measured in this run.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import uv
from rich.console import Console

from pybots.cli_bisect import session
from pybots.core import bisect
from pybots.core.model import IndexSource, Project
from pybots.core.trail import Noise
from pybots.farm import git
from pybots.laptop.ends import Wish
from pybots.laptop.lab import Aim, Lab
from pybots.laptop.progress import Progress
from pybots.laptop.revisions import revision_of
from pybots.laptop.search import Search
from pybots.laptop.workbench import Workbench, alone, default_folder, open_bench
from pybots_worker import contract, layout
from pybots_worker.cache import remove

SOURCE: Final = layout.SOURCE
_TEST_IN_NOTE: Final = re.compile(r"(?:[\w/]+\.py::)?(?:\w+::)*\btest_\w+\b(?!\.py)")
_SHELL: Final = re.compile(r"&&|\|\||[;|<>`$()*?]")
_ASSIGNED: Final = re.compile(r"^[A-Za-z_]\w*=")


# -- a case of the corpus as a project -----------------------------------------------------------


def project_of(case: Mapping[str, Any]) -> Project:
    """The case as a project file would have it: the release pinned, the commands as they stand."""
    name = re.sub(r"[^a-z0-9._-]", "-", str(case["project"]).lower())
    test, env = test_of(str(case.get("test") or "python -m pytest -q"), dict(case.get("env") or {}))
    return Project(
        name=name,
        title=str(case["project"]),
        sources={"release": IndexSource(name=str(case["project"]), version=str(case["version"]))},
        install=install_of(case, test),
        test=test,
        env=env,
    )


def install_of(case: Mapping[str, Any], test: contract.Test) -> contract.Install:
    """Requirements, then the project if the case installs it, then the case's own command in the tree."""
    as_of = str(case.get("as_of") or "")
    options = [
        word.strip() for word in str(case.get("install_project") or "").split(",") if word.strip()
    ]
    commands: list[tuple[str, ...]] = []
    if "no-deps" in options:
        newest = ("--exclude-newer", as_of) if as_of else ()
        flags = [f"--{word}" for word in options]
        commands.append(
            (
                layout.UV,
                "pip",
                "install",
                "--python",
                f"{layout.VENV}/bin/python",
                *newest,
                *flags,
                ".",
            )
        )
    if case.get("install"):
        commands.append(("sh", "-c", str(case["install"])))
    given = "requirements" in case
    return contract.Install(
        # Nothing is said of how the project is installed: the ordinary way.
        project=(bool(case.get("install_project")) and "no-deps" not in options) or not given,
        build_isolation="no-build-isolation" not in options,
        requirements=tuple(case.get("requirements") or () if given else ("pytest",)),
        as_of=as_of,
        commands=tuple(commands),
    )


def test_of(command: str, env: dict[str, str]) -> tuple[contract.Test, dict[str, str]]:
    """How the command's tests run, and its environment. pytest and unittest tell of every test; else the exit status tells.

    `python -m` puts the folder it is called in first on the path; the runners of the kit don't."""
    words = shlex.split(command)
    assigned = [word for word in words if _ASSIGNED.match(word)]
    own = (
        dict(word.split("=", 1) for word in words[: len(assigned)])
        if words[: len(assigned)] == assigned
        else {}
    )
    rest = words[len(own) :]
    runner = {("-m", "pytest"): "pytest", ("-m", "unittest"): "unittest"}.get(tuple(rest[1:3]))
    if runner is None or _SHELL.search(command) or not rest[0].startswith("python"):
        plain = not _SHELL.search(command) and not own
        return contract.Test(
            runner="command", args=tuple(words) if plain else ("sh", "-c", command)
        ), env
    paths = [part for part in own.pop("PYTHONPATH", "").split(":") if part]
    paths = [part if part.startswith("/") else f"{SOURCE}/{part}" for part in paths]
    env = env | own | {"PYTHONPATH": ":".join([*paths, SOURCE])}
    return contract.Test(runner=runner, args=tuple(rest[3:])), env  # type: ignore[arg-type]


def completed(decoy: Mapping[str, Any], cases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A decoy with what it leaves unsaid taken from the case of the same release, if there is one."""
    same = ("project", "version")
    like = next((case for case in cases if all(case[key] == decoy[key] for key in same)), {})
    kept = ("requirements", "test", "env", "install", "install_project", "as_of")
    return {key: like[key] for key in kept if key in like} | dict(decoy)


# -- one search ----------------------------------------------------------------------------------


def searched(
    bench: Workbench, case: Mapping[str, Any], good: str, bad: str, wish: Wish, progress: Progress
) -> tuple[Search, dict[str, Any]]:
    """Search from these ends. The symptom is told as a person would, of the answer nothing."""
    search = session(
        bench, project_of(case), good=good, bad=bad, wish=wish, progress=progress, fresh=True
    )
    began = time.monotonic()
    with progress:
        result = search.run()
    return search, result | {"wall_seconds": round(time.monotonic() - began, 1)}


def run_case(
    bench: Workbench,
    case: Mapping[str, Any],
    scope: str,
    arguments: argparse.Namespace,
    progress: Progress,
) -> dict[str, Any]:
    ends = case["ranges"][scope]
    like = f"{case.get('fails_with', '')} {case.get('fails_where', '')}"
    wish = Wish(like=like, jobs=arguments.jobs)
    search, result = searched(bench, case, ends["good"], ends["bad"], wish, progress)
    found = result["culprit"]["id"] if result["culprit"] else None
    row: dict[str, Any] = {
        "id": case["id"],
        "exact": found == case["culprit"],
        "culprit": found,
        "status": result["status"],
        "confidence": result["confidence"],
        "reason": result["reason"],
        "range": result["range"],
        "changes": len(search.lab.ground.changes) - 1,
        "probes": result["probes"],
        "confirmations": result["confirmations"],
        "builds": result["builds"],
        "seconds": result["stages"].get("search", 0.0),
        "ends_seconds": result["stages"].get("ends", 0.0),
        "confirm_seconds": result["stages"].get("confirm", 0.0),
        "wall_seconds": result["wall_seconds"],
        "failure": result["failure"],
        "evidence": result["evidence"],
    }
    if result["culprit"]:
        row |= floor(search, found)
    return row


def floor(search: Search, culprit: str) -> dict[str, Any]:
    """The commits a noiseless bisection visits, and how long building and testing them took (takes, where it has not)."""
    lab = search.lab
    rows = [row for row in lab.journal.of("seen") if row["purpose"] == "search"]
    times: dict[int, float] = {}
    for row in rows:
        times.setdefault(row["index"], row["seconds"])
    visits = noiseless(
        lab, next(i for i, one in enumerate(lab.ground.changes) if one.id == culprit)
    )
    measured = [index for index in visits if index not in times]
    aim = aim_of(lab)
    for index in measured:
        _, facts = lab.probe(index, aim)
        times[index] = facts["seconds"]
    total = round(sum(times[index] for index in visits), 1)
    spent = search.spent.get("search", 0.0)
    return {
        "floor_probes": len(visits),
        "floor_seconds": total,
        "floor_measured_apart": len(measured),
        "ratio_to_floor": round(spent / total, 3) if total else None,
    }


def noiseless(lab: Lab, culprit: int) -> list[int]:
    """What is probed, in order, when every answer is clear."""
    candidates = [change.candidate for change in lab.ground.changes]
    last = len(candidates) - 1
    state = bisect.start(candidates, good=0, bad=last, noise=Noise(certain=True))
    visits: list[int] = []
    while not bisect.is_final(bisect.conclusion(state)):
        probes = [probe for probe in bisect.next_probes(state) if probe.stage == "search"]
        if not probes:
            break
        visits.append(probes[0].index)
        state = bisect.observe(
            state, probes[0].index, "bad" if probes[0].index >= culprit else "good"
        )
    return visits


def aim_of(lab: Lab) -> Aim:
    return msgspec.convert(next(lab.journal.of("aim"))["aim"], Aim)


def run_decoy(
    bench: Workbench, decoy: Mapping[str, Any], arguments: argparse.Namespace, progress: Progress
) -> dict[str, Any]:
    tests = tuple(dict.fromkeys(_TEST_IN_NOTE.findall(str(decoy.get("note", "")))))
    wish = Wish(tests=tests, jobs=arguments.jobs)
    _, result = searched(bench, decoy, decoy["good"], decoy["bad"], wish, progress)
    blamed = result["culprit"]["id"] if result["culprit"] else None
    return {
        "id": decoy["id"],
        "expected": decoy.get("expected"),
        "blamed": blamed,
        "status": result["status"],
        "reason": result["reason"],
        "standing": result["standing"],
        "seconds": result["wall_seconds"],
    }


# -- the plain way -------------------------------------------------------------------------------

PLAIN: Final = """\
set -u
git clean -fdxq
rm -rf "$ROOT/prefix" "$ROOT/venv" "$ROOT/tree"
{ ./configure --prefix="$ROOT/prefix" && make -j"$(nproc)" && make install; } >"$ROOT/build.log" 2>&1 || exit 125
"$UV" venv -q --python "$ROOT/prefix/bin/python3" --no-project "$ROOT/venv" || exit 125
export VIRTUAL_ENV="$ROOT/venv" PATH="$ROOT/venv/bin:$PATH"
if [ -s "$ROOT/requirements.txt" ]; then
    "$UV" pip install -q $NEWEST --requirement "$ROOT/requirements.txt" || exit 125
fi
mkdir "$ROOT/tree" && tar -xzf "$SDIST" -C "$ROOT/tree" --strip-components=1 && cd "$ROOT/tree" || exit 125
eval "$INSTALL" >"$ROOT/install.log" 2>&1 || exit 125
eval "$TEST" >"$ROOT/test.log" 2>&1 && exit 0
exit 1
"""
"""What a person would hand to `git bisect run`: the default build, a fresh environment, the exit status."""


def plain(
    bench: Workbench, case: Mapping[str, Any], scope: str, cases: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """`git bisect run` with the default build from the same ends, timed; and the ratio of our whole session to it."""
    ends = case["ranges"][scope]
    revision = revision_of(bench, project_of(case))
    assert isinstance(revision.source, contract.SdistSource)
    with tempfile.TemporaryDirectory(prefix="pybots-plain-") as name:
        root = Path(name)
        clone = root / "cpython"
        git.git(
            None, "clone", "--quiet", "--shared", "--no-checkout", str(bench.repository), str(clone)
        )
        # No build reads it, and a repository may lack it.
        git.git(clone, "sparse-checkout", "set", "--no-cone", "/*", "!/Misc/svnmap.txt")
        (root / "requirements.txt").write_text(
            "".join(f"{line}\n" for line in case.get("requirements") or ())
        )
        (root / "probe.sh").write_text(PLAIN)
        env = {
            **git.environment(), **{key: str(value) for key, value in (case.get("env") or {}).items()},
            "ROOT": name, "UV": uv.find_uv_bin(), "SDIST": str(bench.farm.store.path(revision.source.blob.sha256)),
            "NEWEST": f"--exclude-newer {case['as_of']}" if case.get("as_of") else "",
            "INSTALL": str(case.get("install") or "true"), "TEST": str(case["test"]),
        }  # fmt: skip
        began = time.monotonic()
        for words in (
            ("start", "--first-parent", ends["bad"], ends["good"]),
            ("run", "sh", str(root / "probe.sh")),
        ):
            done = subprocess.run(
                ["git", "-C", str(clone), "bisect", *words],
                env=env,
                capture_output=True,
                text=True,
                check=False,
            )
        seconds = time.monotonic() - began
    found = re.search(r"^([0-9a-f]{40}) is the first bad commit", done.stdout, re.MULTILINE)
    ours = next((row for row in cases if row["id"] == case["id"]), {})
    spent = ours.get("wall_seconds")
    return {
        "id": case["id"],
        "culprit": found[1] if found else None,
        "exact": bool(found and found[1] == case["culprit"]),
        "seconds": round(seconds, 1),
        "ours_seconds": spent,
        "ratio": round(spent / seconds, 3) if spent else None,
        "search_ratio": round(ours["seconds"] / seconds, 3) if ours.get("seconds") else None,
        "said": done.stdout[-300:] if not found else "",
    }


# -- all of it -----------------------------------------------------------------------------------


def totals(
    cases: Sequence[Mapping[str, Any]], decoys: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Counts, not rates: so few cases are no calibration."""
    named = [case for case in cases if case["culprit"]]
    floors = [case for case in cases if case.get("floor_seconds")]
    spent, least = sum(c["seconds"] for c in floors), sum(c["floor_seconds"] for c in floors)
    return {
        "cases": len(cases),
        "exact": sum(case["exact"] for case in cases),
        "wrong": sum(not case["exact"] for case in named),
        "undecided": sum(case["status"] == "undecided" for case in cases),
        "errors": sum(case["status"] == "error" for case in cases),
        "decoys": len(decoys),
        "false_blame": sum(bool(decoy["blamed"]) for decoy in decoys),
        "probes": sum(case.get("probes", 0) for case in cases),
        "builds": sum(case.get("builds", 0) for case in cases),
        "search_seconds": round(sum(case.get("seconds", 0.0) for case in cases), 1),
        "floor_seconds": round(least, 1),
        "ratio_to_floor": round(spent / least, 3) if least else None,
    }


def forget(bench: Workbench) -> None:
    """Built interpreters, but neither ccache nor configure's answers: every probe is a warm build again."""
    for entry in bench.workshop.machine.interpreters.root.iterdir():
        if not entry.name.startswith("."):
            remove(entry)


def parsed(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument(
        "--cpython", required=True, metavar="REPO", help="a repository with the history"
    )
    parser.add_argument("--range", choices=("near", "mid", "wide"), default="near", dest="scope")
    parser.add_argument(
        "--case", action="append", default=[], metavar="ID", help="only this one (repeatable)"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write everything there")
    parser.add_argument("--jobs", type=int, default=1, metavar="N")
    parser.add_argument("--folder", type=Path, default=default_folder().with_name("culprits"))
    parser.add_argument(
        "--cold", action="store_true", help="forget built interpreters before each case"
    )
    parser.add_argument(
        "--git-bisect",
        default="",
        metavar="ID",
        help="also run plain `git bisect run` on this case",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parsed(argv)
    corpus = json.loads(arguments.corpus.read_text())
    chosen = lambda one: not arguments.case or one["id"] in arguments.case  # noqa: E731
    found: dict[str, Any] = {
        "corpus": arguments.corpus.name,
        "range": arguments.scope,
        "cases": [],
        "decoys": [],
    }
    console = Console(stderr=True, highlight=False)
    with alone(arguments.folder):
        bench = open_bench(arguments.folder, cpython=arguments.cpython, slots=arguments.jobs)
        for kind, entries in (
            ("cases", corpus.get("cases", [])),
            ("decoys", corpus.get("decoys", [])),
        ):
            for entry in filter(chosen, entries):
                console.rule(entry["id"])
                if arguments.cold:
                    forget(bench)
                found[kind].append(one(bench, kind, entry, corpus, arguments, Progress(console)))
                show(kind, found[kind][-1])
                found["totals"] = totals(found["cases"], found["decoys"])
                write(arguments.json, found)
    if arguments.git_bisect:
        case = next(case for case in corpus["cases"] if case["id"] == arguments.git_bisect)
        with alone(arguments.folder):
            bench = open_bench(arguments.folder, cpython=arguments.cpython)
            found["git_bisect"] = plain(bench, case, arguments.scope, found["cases"])
        print(json.dumps(found["git_bisect"], indent=1))
        write(arguments.json, found)
    print(json.dumps(found.get("totals", {}), indent=1))
    wanted = found.get("totals", {})
    return 0 if wanted and wanted["exact"] == wanted["cases"] and not wanted["false_blame"] else 1


def one(
    bench: Workbench,
    kind: str,
    entry: Mapping[str, Any],
    corpus: Mapping[str, Any],
    arguments: argparse.Namespace,
    progress: Progress,
) -> dict[str, Any]:
    """A case or a decoy; what goes wrong with one is its own row, not the end of the others."""
    try:
        if kind == "cases":
            return run_case(bench, entry, arguments.scope, arguments, progress)
        return run_decoy(bench, completed(entry, corpus.get("cases", [])), arguments, progress)
    except KeyboardInterrupt:
        raise
    except Exception as error:  # noqa: BLE001 - a benchmark goes on with the next case
        return {
            "id": entry["id"], "exact": False, "blamed": None, "culprit": None, "status": "error",
            "reason": f"{type(error).__name__}: {error}",
        }  # fmt: skip


def show(kind: str, row: Mapping[str, Any]) -> None:
    if kind == "decoys":
        print(
            f"{row['id']:<26} {'BLAMED ' + row['blamed'][:12] if row['blamed'] else 'not blamed'}  {row['reason'][:110]}"
        )
        return
    print(
        f"{row['id']:<26} {'exact' if row['exact'] else 'NOT EXACT':<9} {row['status']:<10} "
        f"{(row['culprit'] or '-')[:12]:<12} {row.get('probes', 0)} probes, {row.get('builds', 0)} builds, "
        f"{row.get('seconds', 0.0):.0f} s (floor {row.get('floor_seconds', 0.0):.0f} s)  {row['reason'][:110]}",
        flush=True,
    )


def write(path: Path | None, found: Mapping[str, Any]) -> None:
    if path:
        part = path.with_name(f".{path.name}.part")
        part.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
        part.replace(path)


if __name__ == "__main__":
    sys.exit(main())

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
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from culprits_corpus import completed, project_of, tests_named
from culprits_plain import plain
from rich.console import Console

from pybots.cli_bisect import session
from pybots.core import bisect
from pybots.core.trail import Noise
from pybots.laptop.ends import Wish
from pybots.laptop.lab import Aim, Lab
from pybots.laptop.progress import Progress
from pybots.laptop.search import Search
from pybots.laptop.workbench import Workbench, alone, default_folder, open_bench
from pybots_worker.cache import remove

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


def scope_of(case: Mapping[str, Any], wanted: str) -> str:
    """The range that was asked for, or the next narrower one that the case has."""
    scopes = ("wide", "mid", "near")
    known = [scope for scope in scopes[scopes.index(wanted) :] if scope in case["ranges"]]
    return known[0] if known else next(iter(case["ranges"]))


def run_case(
    bench: Workbench,
    case: Mapping[str, Any],
    scope: str,
    arguments: argparse.Namespace,
    progress: Progress,
) -> dict[str, Any]:
    scope = scope_of(case, scope)
    ends = case["ranges"][scope]
    like = f"{case.get('fails_with', '')} {case.get('fails_where', '')}"
    wish = Wish(like=like, jobs=arguments.jobs)
    search, result = searched(bench, case, ends["good"], ends["bad"], wish, progress)
    found = result["culprit"]["id"] if result["culprit"] else None
    row: dict[str, Any] = {
        "id": case["id"],
        "range_used": scope,
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
    spent = sum(one.spent.get("search", 0.0) for one in (search, search.earlier) if one)
    lab = (search.earlier or search).lab
    rows = [row for row in lab.journal.of("seen") if row["purpose"] == "search"]
    times: dict[int, float] = {}
    for row in rows:
        times.setdefault(row["index"], row["seconds"])
    aim = aim_of(lab)
    visits = noiseless(
        lab, aim, next(i for i, one in enumerate(lab.ground.changes) if one.id == culprit)
    )
    measured = [index for index in visits if index not in times]
    for index in measured:
        _, facts = lab.probe(index, aim)
        times[index] = facts["seconds"]
    total = round(sum(times[index] for index in visits), 1)
    return {
        "floor_probes": len(visits),
        "floor_seconds": total,
        "floor_measured_apart": len(measured),
        "ratio_to_floor": round(spent / total, 3) if total else None,
    }


def noiseless(lab: Lab, aim: Aim, culprit: int) -> list[int]:
    """What is probed, in order, when every answer is clear."""
    candidates = [change.candidate for change in lab.ground.changes]
    state = bisect.start(candidates, good=aim.first, bad=aim.last, noise=Noise(certain=True))
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
    wish = Wish(tests=tests_named(str(decoy.get("note", ""))), jobs=arguments.jobs)
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
            for entry in entries:
                if arguments.case and entry["id"] not in arguments.case:
                    continue
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
            scope = scope_of(case, arguments.scope)
            found["git_bisect"] = plain(bench, case, scope, found["cases"])
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

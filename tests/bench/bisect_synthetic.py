"""Bisection over simulated histories: accuracy, probes against the information bound, calibration, time a step.

    python tests/bench/bisect_synthetic.py [--seed N] [--histories 10000] [--json]

Each history draws its length (8-1,024 steps), its culprit, its noise (a broken commit passes 0, 10, 20, 30 or 40 % of the
time; in one of five a sound one also fails, up to half as often), its share of commits that can't be tested (0-20 %, alone
or in stretches), documentation commits (equal keys), workers (1, 2 or 4, probes end in any order), and in one of ten the
failure came, was reverted and came again (the revert says so in seven of ten). The search is told none of that, only how
its two ends behaved: three runs each, ten when these were not unanimous.

*bound*: log2(steps) over the capacity of one run at the true rates (bits), over the share that can be tested: what no
method beats on average, before any certainty about the answer. *right*: a culprit that is the one; *range*: a range that
holds it; *wrong*: a culprit or range that doesn't; *open*: given up after 12 times the bound; *search*: probes before a noiseless
search begins to make sure; *told*: probes foretold over probes made. Then the answer is confirmed with two owners' workers:
*named*: a culprit was named, *false*: it is none, *earlier*: it is the culprit of an earlier episode of the same failure;
*proofs*: runs that the confirmation took. The reliability tables compare the confidence said with how often it was right.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

from pybots.core.bisect import (
    Candidate,
    Culprit,
    NoChange,
    Noise,
    Probe,
    Range,
    State,
    conclusion,
    expected,
    is_final,
    next_probes,
    observe,
    start,
)
from pybots.core.confirm import Confirmed, More, judge
from pybots.core.probing import capacity

NOISE = (0.0, 0.1, 0.2, 0.3, 0.4)
SKIPS = (0.0, 0.05, 0.1, 0.2)
WORKERS = (1, 1, 2, 4)
GIVE_UP = 12
BINS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.97, 0.99, 1.01)


@dataclass(kw_only=True)
class History:
    """What is so. `state[i]` is whether candidate i fails with the signature (at the rate 1 - `miss`)."""

    candidates: list[Candidate]
    broken: list[bool]
    skipped: list[bool]
    breaks: list[int]
    miss: float
    false: float
    skips: float
    workers: int
    steps: int
    reverted: str = ""

    @property
    def bound(self) -> float:
        from math import log2

        bits = log2(max(self.steps, 2))
        return bits / capacity(1 - self.miss, self.false) / (1 - self.skips)

    def run(self, index: int, chance: random.Random) -> str:
        if self.skipped[index]:
            return "skip"
        failing = 1 - self.miss if self.broken[index] else self.false
        return "bad" if chance.random() < failing else "good"


def make(
    chance: random.Random, *, miss: float | None = None, false: float | None = None
) -> History:
    """A random history."""
    size = round(8 * 2 ** chance.uniform(0, 7))
    docs = chance.choice((0.0, 0.24))
    keys = [0]
    for _ in range(size):
        keys.append(keys[-1] + (chance.random() >= docs))
    keys[-1] += keys[-1] == 0
    steps = keys[-1]
    culprit = chance.randint(1, steps)
    breaks, mend, reverted = [culprit], 0, ""
    if culprit > 4 and chance.random() < 0.1:
        first, mend = sorted(chance.sample(range(1, culprit), 2))
        breaks, reverted = [first, culprit], "said" if chance.random() < 0.7 else "silent"
    broken = [step >= culprit or (mend > 0 and breaks[0] <= step < mend) for step in keys]
    firsts = {key: index for index, key in reversed(list(enumerate(keys)))}
    undoes = {firsts[mend]: firsts[breaks[0]]} if reverted == "said" else {}
    if reverted == "said":
        undoes[firsts[culprit]] = firsts[mend]
    skips = chance.choice(SKIPS)
    miss = chance.choice(NOISE) if miss is None else miss
    if false is None:
        false = chance.uniform(0, miss / 2) if chance.random() < 0.2 else 0.0
    return History(
        candidates=[
            Candidate(key=str(key), undoes=undoes.get(index)) for index, key in enumerate(keys)
        ],
        broken=broken,
        skipped=untestable(chance, keys, skips),
        breaks=[firsts[step] for step in breaks],
        miss=miss,
        false=false,
        skips=skips,
        workers=chance.choice(WORKERS),
        steps=steps,
        reverted=reverted,
    )


def untestable(chance: random.Random, keys: list[int], share: float) -> list[bool]:
    """Which candidates can't be tested: single ones, or stretches of about eight. Never an end."""
    steps = keys[-1]
    length = chance.choice((1, 8))
    bad: set[int] = set()
    for step in range(1, steps):
        if chance.random() < share / length:
            bad.update(range(step, min(step + chance.randint(1, 2 * length - 1), steps)))
    return [key in bad for key in keys]


@dataclass(kw_only=True)
class Played:
    """How a search went."""

    history: History
    kind: str
    genuine: bool
    confidence: float
    probes: int
    builds: int
    rounds: float
    expected: int
    searching: int
    proved: str = ""
    sure: float = 0.0
    proofs: int = 0
    seconds: list[float] = field(default_factory=list)


def ends(history: History, chance: random.Random) -> Noise:
    """What the runs at the two ends said. The bad end was seen to fail once at least, or there would be no search."""
    last = len(history.candidates) - 1
    for runs in (3, 10):
        failed = sum(history.run(last, chance) == "bad" for _ in range(runs - 1)) + 1
        false = sum(history.run(0, chance) == "bad" for _ in range(runs - 1))
        if (failed, false) == (runs, 0):
            break
    return Noise(bad_runs=runs, bad_failed=failed, good_runs=runs, good_failed=false)


def play(history: History, chance: random.Random, noise: Noise | None = None) -> Played:
    """The whole search, with `history.workers` workers whose probes take 0.7-1.3 rounds."""
    state = start(
        history.candidates,
        good=0,
        bad=len(history.candidates) - 1,
        noise=noise or ends(history, chance),
    )
    foreseen = expected(state, workers=history.workers)
    limit = max(GIVE_UP * history.bound, 30)
    running: list[tuple[float, int]] = []
    now, probes, searching, built, seconds = 0.0, 0, 0, set[str](), []
    while True:
        began = time.thread_time()
        found = conclusion(state)
        asked: list[Probe] = []
        if not is_final(found) and probes < limit:
            free = history.workers - len(running)
            asked = next_probes(state, idle_workers=free, running=[i for _, i in running])
        seconds.append(time.thread_time() - began)
        searching += sum(probe.stage == "search" for probe in asked)
        for probe in asked:
            heapq.heappush(running, (now + chance.uniform(0.7, 1.3), probe.index))
        if is_final(found) or not running:
            break
        now, index = heapq.heappop(running)
        state = observe(state, index, history.run(index, chance), owner="ann")
        probes += 1
        built.add(history.candidates[index].key)
    played = judged(history, state, probes)
    played.builds, played.rounds, played.expected = len(built), now, foreseen.probes
    played.searching, played.seconds = searching, seconds
    prove(history, state, played, chance)
    return played


def judged(history: History, state: State, probes: int) -> Played:
    found, truth = conclusion(state), history.breaks[-1]
    kind, genuine = "open", True
    if isinstance(found, Culprit):
        kind = "right" if found.index == truth else "wrong"
        genuine = found.index in history.breaks
    elif isinstance(found, Range):
        kind = "range" if found.first <= truth <= found.last else "wrong"
        genuine = any(found.first <= one <= found.last for one in history.breaks)
    elif isinstance(found, NoChange):
        kind, genuine = "wrong", False
    return Played(
        history=history, kind=kind, genuine=genuine, confidence=found.confidence, probes=probes,
        builds=0, rounds=0.0, expected=0, searching=0,
    )  # fmt: skip


def prove(history: History, state: State, played: Played, chance: random.Random) -> None:
    """Confirm the answer as the farm does, with two owners' workers, before anybody would be named."""
    while played.proofs < 200 and isinstance(found := judge(state, owners=("ann", "bob")), More):
        runs = [(ask.index, ask.times, "bob" if ask.elsewhere else "ann") for ask in found.runs]
        if not runs:
            runs = [(probe.index, 1, "ann") for probe in next_probes(state)]
        for index, times, owner in runs:
            for _ in range(times):
                state = observe(state, index, history.run(index, chance), owner=owner)
                played.proofs += 1
    if isinstance(found, Confirmed):
        played.sure = found.confidence
        played.proved = "right" if found.index == history.breaks[-1] else "wrong"
        if found.index in history.breaks[:-1]:
            played.proved = "earlier"


def row(played: list[Played]) -> dict[str, float]:
    """The numbers of some searches. Ratios are sums over sums."""
    count = len(played)
    bound = sum(one.history.bound for one in played)
    shares = {
        k: sum(p.kind == k for p in played) / count for k in ("right", "range", "wrong", "open")
    }
    return {
        "histories": count,
        **shares,
        "named": mean(bool(one.proved) for one in played),
        "false": mean(one.proved == "wrong" for one in played),
        "earlier": mean(one.proved == "earlier" for one in played),
        "proofs": mean(one.proofs for one in played),
        "searching": mean(one.searching for one in played),
        "genuine": mean(one.genuine for one in played),
        "probes": mean(one.probes for one in played),
        "builds": mean(one.builds for one in played),
        "rounds": mean(one.rounds for one in played),
        "bound": bound / count,
        "ratio": sum(one.probes for one in played) / bound,
        "said": sum(one.expected for one in played) / max(sum(one.probes for one in played), 1),
    }


def tables(played: list[Played]) -> dict[str, dict[str, dict[str, float]]]:
    return {
        "all": {"all": row(played)},
        "noise": by(played, lambda h: f"{h.miss:.0%}" + (" + false" if h.false else "")),
        "skips": by(played, lambda h: f"{h.skips:.0%}"),
        "reverts": by(played, lambda h: h.reverted or "none"),
        "workers": by(played, lambda h: str(h.workers)),
        "noiseless, no skips, 1 worker": by(
            [
                p
                for p in played
                if not p.history.miss and not p.history.skips and p.history.workers == 1
            ],
            lambda h: h.reverted or "none",
        ),
    }


def by(played: Iterable[Played], group: Any) -> dict[str, dict[str, float]]:
    groups: dict[str, list[Played]] = defaultdict(list)
    for one in played:
        groups[group(one.history)].append(one)
    return {name: row(groups[name]) for name in sorted(groups)}


def reliability(played: list[Played]) -> list[dict[str, float]]:
    """For each bin of confidence: how many final answers, their mean confidence, and how many were right."""
    return binned([(one.confidence, one.kind != "wrong") for one in played if one.kind != "open"])


def binned(answers: list[tuple[float, bool]]) -> list[dict[str, float]]:
    found = []
    for low, high in itertools.pairwise(BINS):
        inside = [(said, right) for said, right in answers if low <= said < high]
        if inside:
            found.append(
                {
                    "from": low,
                    "answers": len(inside),
                    "said": mean(said for said, _ in inside),
                    "right": mean(right for _, right in inside),
                }
            )
    return found


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


def measure(seed: int, histories: int) -> dict[str, Any]:
    began, played = time.monotonic(), []
    for number in range(histories):
        chance = random.Random(f"{seed}/{number}")
        played.append(play(make(chance), chance))
        if number % 100 == 99:
            print(
                f"\r{number + 1:,} of {histories:,} histories", end="", file=sys.stderr, flush=True
            )
    print(f"\r{' ' * 40}\r", end="", file=sys.stderr)
    steps = [one for p in played for one in p.seconds]
    return {
        "seed": seed,
        "seconds": time.monotonic() - began,
        "tables": tables(played),
        "reliability": reliability(played),
        "named": binned([(one.sure, one.proved == "right") for one in played if one.proved]),
        "step_ms": {
            "mean": 1000 * mean(steps),
            "p95": 1000 * percentile(steps, 0.95),
            "max": 1000 * max(steps),
        },
    }


COLUMNS = (
    ("n", "histories", "{:,}"), ("right", "right", "{:.1%}"), ("range", "range", "{:.1%}"), ("wrong", "wrong", "{:.2%}"),
    ("open", "open", "{:.1%}"), ("probes", "probes", "{:.1f}"), ("search", "searching", "{:.1f}"),
    ("builds", "builds", "{:.1f}"), ("rounds", "rounds", "{:.1f}"), ("bound", "bound", "{:.1f}"), ("ratio", "ratio", "{:.2f}"),
    ("told", "said", "{:.2f}"), ("named", "named", "{:.1%}"), ("false", "false", "{:.2%}"),
    ("earlier", "earlier", "{:.2%}"), ("proofs", "proofs", "{:.1f}"),
)  # fmt: skip


def show(found: dict[str, Any]) -> None:
    for title, rows in found["tables"].items():
        print(f"\n{title:16}" + "".join(f"{name:>8}" for name, *_ in COLUMNS))
        for name, r in rows.items():
            print(f"  {name:14}" + "".join(f"{form.format(r[key]):>8}" for _, key, form in COLUMNS))
    for title, rows in (
        ("answers of the search", found["reliability"]),
        ("culprits named, after confirmation", found["named"]),
    ):
        print(f"\nreliability, {title}: confidence said, and how often right")
        for r in rows:
            print(
                f"  from {r['from']:4.2f} {r['answers']:6,} answers, said {r['said']:6.1%}, right {r['right']:6.1%}"
            )
    ms = found["step_ms"]
    print(
        f"\na step: mean {ms['mean']:.2f} ms, p95 {ms['p95']:.2f} ms, max {ms['max']:.1f} ms (must be < 10)"
    )
    print(f"{found['seconds']:.0f} s, seed {found['seed']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--histories", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.seed, arguments.histories)
    if arguments.json:
        print(json.dumps(found))
    else:
        show(found)


if __name__ == "__main__":
    main()

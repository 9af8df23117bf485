"""Small builders for a ledger with history in it: `Book(farm).commit(5)`, `.lane("django")`, `.run(lane, 5, "passed")`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import insert, update
from tests.unit.ledgers import new_ledger

from pybots.config.farm import FarmConfig
from pybots.farm import tokens
from pybots.farm.home import Farm, Folder
from pybots.ledger import migrate, schema
from pybots.ledger.engine import announce, open_ledger
from pybots.store import Store

START = 1_750_000_000.0
PLATFORM = "linux-x86_64"


@dataclass
class Clock:
    """Stands still unless told."""

    now: float = START

    def __call__(self) -> float:
        return self.now


def make_farm(root: Path, *, migrated: bool = False, **config: Any) -> Farm:
    """A farm with an empty ledger (made from the metadata, or by the real migrations), a store and a token key."""
    folder = Folder(root)
    if migrated:
        migrate.upgrade(folder.ledger)
    ledger = open_ledger(folder.ledger) if migrated else new_ledger(folder.ledger)
    tokens.make_key(folder.secrets)
    return Farm(
        folder=folder,
        config=FarmConfig(**{"second_opinions": 0, **config}),  # no chance in tests
        projects={},
        ledger=ledger,
        store=Store(folder.store, reserve=0),
        clock=Clock(),
    )


def sha(position: int, branch: str = "main") -> str:
    """Every commit's sha is different from its first digit on."""
    return f"{position * 2654435761 % (1 << 32):08x}{position:032x}"


@dataclass
class Book:
    """Writes history into a farm's ledger. Everything announces itself, as the farm's own operations do."""

    farm: Farm
    commits: dict[tuple[str, int], int] = field(default_factory=dict)
    interpreters: dict[tuple[int, str, str], int] = field(default_factory=dict)
    lanes: dict[int, dict[str, str]] = field(default_factory=dict)

    def _insert(self, table: Any, **values: Any) -> int:
        with self.farm.ledger.write() as connection:
            key = connection.execute(insert(table).values(**values)).inserted_primary_key[0]
            announce(connection, self.farm.clock(), "test")
        return key if isinstance(key, int) else 0

    def commit(self, position: int, *, branch: str = "main", **values: Any) -> int:
        plain = {
            "branch": branch,
            "position": position,
            "sha": sha(position),
            "author": "Ada",
            "email": "ada@example.org",
            "committed": START + position,
            "title": f"Commit {position}",
            "message": f"Commit {position}\n\nWhy it was made.",
            "files": ["Lib/x.py"],
            "content_key": f"{position:064x}",
            "seen": START + position,
        }
        made = self._insert(schema.commits, **{**plain, **values})
        self.commits[branch, position] = made
        return made

    def history(self, low: int, high: int) -> None:
        for position in range(low, high + 1):
            self.commit(position)

    def lane(
        self, project: str, *, flavour: str = "release", platform: str = PLATFORM, **values: Any
    ) -> int:
        branch, source = values.pop("branch", "main"), values.pop("source", "release")
        made = self._insert(
            schema.lanes,
            **{
                "slug": f"{project}.{source}.{branch}.{flavour}.{platform}",
                "project": project,
                "source": source,
                "branch": branch,
                "flavour": flavour,
                "platform": platform,
                "state": "active",
                "reason": "",
                **values,
            },
        )
        self.lanes[made] = {"branch": branch, "flavour": flavour, "platform": platform}
        return made

    def interpreter(
        self,
        position: int,
        *,
        flavour: str = "release",
        platform: str = PLATFORM,
        branch: str = "main",
        **values: Any,
    ) -> int:
        commit = self.commits[branch, position]
        plain = {
            "key": f"{position:056x}{abs(hash((flavour, platform))) % (1 << 32):08x}",
            "content_key": f"{position:064x}",
            "flavour": flavour,
            "platform": platform,
            "abi": "debian-12-x86_64",
            "trust": "farm",
            "recipe": {},
            "branch": branch,
            "commit_id": commit,
            "state": "published",
            "blob": "b" * 64,
            "size": 24_000_000,
            "python": "3.15.0a1+",
            "created": START,
        }
        made = self._insert(schema.interpreters, **{**plain, **values})
        self.interpreters[position, flavour, platform] = made
        return made

    def run(
        self,
        lane: int,
        position: int,
        verdict: str | None = "passed",
        *,
        count: int = 0,
        **values: Any,
    ) -> int:
        """A run of a lane at a commit, with its cell; `verdict` None: use `state` (`wanted`, `running` …)."""
        where = self.lanes[lane]
        key = (position, where["flavour"], where["platform"])
        if key not in self.interpreters:
            self.interpreter(position, flavour=key[1], platform=key[2], branch=where["branch"])
        commit = self.commits[where["branch"], position]
        state = values.pop("state", "done" if verdict else "wanted")
        made = self._insert(
            schema.runs,
            **{
                "kind": "project",
                "lane_id": lane,
                "interpreter_id": self.interpreters[key],
                "commit_id": commit,
                "branch": where["branch"],
                "position": position,
                "purpose": "routine",
                "revision_label": "1.0",
                "state": state,
                "verdict": verdict,
                "summary": "",
                "tries": 1,
                "created": START + position,
                "started": START + position + 1 if state != "wanted" else None,
                "finished": START + position + 61 if state == "done" else None,
                **values,
            },
        )
        shown = verdict or {"wanted": "queued", "dispatched": "queued"}.get(state, state)
        self.cell(lane, position, made, shown, count)
        if verdict in ("passed", "fixed", "new_failure", "still_failing", "flaky"):
            self.head(lane, made, position, verdict)
        return made

    def cell(self, lane: int, position: int, run: int, state: str, count: int = 0) -> None:
        branch = self.lanes[lane]["branch"]
        self._insert(
            schema.cells,
            lane_id=lane,
            commit_id=self.commits[branch, position],
            branch=branch,
            position=position,
            run_id=run,
            state=state,
            count=count,
        )

    def head(self, lane: int, run: int, position: int, verdict: str) -> None:
        with self.farm.ledger.write() as connection:
            connection.execute(
                update(schema.lanes)
                .where(schema.lanes.c.id == lane)
                .values(head_run=run, head_position=position, head_started=START, verdict=verdict)
            )

    def build(
        self,
        position: int,
        verdict: str | None = "passed",
        *,
        flavour: str = "release",
        platform: str = PLATFORM,
        **values: Any,
    ) -> int:
        """The run that builds (or failed to build) a commit's interpreter."""
        key = (position, flavour, platform)
        if key not in self.interpreters:
            state = {"passed": "published", "fixed": "published", None: "wanted"}.get(
                verdict, "failed"
            )
            self.interpreter(position, flavour=flavour, platform=platform, state=state)
        return self._insert(
            schema.runs,
            **{
                "kind": "interpreter",
                "interpreter_id": self.interpreters[key],
                "commit_id": self.commits["main", position],
                "branch": "main",
                "position": position,
                "purpose": "routine",
                "state": "done" if verdict else "running",
                "verdict": verdict,
                "summary": "",
                "tries": 1,
                "created": START,
                "started": START,
                "finished": START + 90 if verdict else None,
                **values,
            },
        )

    def attempt(self, run: int, *, number: int = 1, state: str = "running", **values: Any) -> int:
        plain = {
            "run_id": run,
            "number": number,
            "worker": "attic",
            "builder": f"{PLATFORM}-1",
            "state": state,
            "created": START,
            "started": START,
            "reason": "",
        }
        return self._insert(schema.attempts, **{**plain, **values})

    def worker(self, name: str = "attic", **values: Any) -> None:
        plain = {
            "name": name,
            "owner": "Bob",
            "email": "bob@example.org",
            "platform": PLATFORM,
            "abi": "debian-12-x86_64",
            "slots": 1,
            "trust": "farm",
            "facts": ["ccache"],
            "projects": [],
            "state": "approved",
            "credential": "very-secret",
            "connected": True,
            "last_seen": START,
        }
        self._insert(schema.workers, **{**plain, **values})

    def log(self, attempt: int, phase: str, text: str, *, cut: bool = False) -> str:
        stored = self.farm.store.put(text.encode())
        self._insert(
            schema.logs,
            attempt_id=attempt,
            phase=phase,
            blob=stored.sha256,
            size=stored.size,
            cut=cut,
        )
        return stored.sha256

    def mail(self, number: int, **values: Any) -> int:
        plain = {
            "alert": f"alert-{number}",
            "message_id": f"<{number}@farm>",
            "thread": "<1@farm>",
            "audience": "list",
            "recipients": ["pybots@localhost", "ann@example.org"],
            "subject": f"Subject {number}",
            "message": f"From: pybots@localhost\nSubject: Subject {number}\n\nBody {number}\n",
            "state": "sent",
            "tries": 1,
            "next_try": START,
            "created": START,
            "sent": START + 1,
            "error": "",
        }
        return self._insert(schema.outbox, **{**plain, **values})

    def breakage(self, run: int, lanes: dict[int, list[str]], **values: Any) -> int:
        plain = {
            "kind": "test",
            "signature": "s" * 64,
            "title": "TypeError in test_x",
            "branch": "main",
            "state": "open",
            "good_position": 4,
            "bad_position": 5,
            "opened": START,
            "opened_run": run,
            "disposition": "untriaged",
            "thread": "<1@farm>",
        }
        made = self._insert(schema.breakages, **{**plain, **values})
        for lane, tests in lanes.items():
            self._insert(
                schema.breakage_lanes,
                breakage_id=made,
                lane_id=lane,
                run_id=run,
                tests=tests,
                count=len(tests),
                opened=START,
            )
        return made

    def note(self, name: str, value: Any, at: float) -> None:
        self._insert(schema.notes, name=name, value=value, at=at)

"""What an investigation asks for, wanted in the ledger: a run, the row that says what it answers, and the interpreter it needs.

Everything here works inside its caller's transaction.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select, update

from pybots.core.flavours import quick
from pybots.core.inquiry import WAYS, Ask
from pybots.farm import axes, interpreters
from pybots.farm.home import Farm
from pybots.farm.inquiries import Going
from pybots.farm.probes import target_of
from pybots.ledger import schema
from pybots.ledger.engine import announce, inserted_id
from pybots_worker import contract

probes, runs = schema.probes, schema.runs


def want(
    farm: Farm,
    connection: Connection,
    one: Going,
    ask: Ask,
    lock: list[list[str]] | None,
    now: float,
) -> None:
    """Want a probe, and the interpreter it needs."""
    made = axes.made_of(connection, one, ask)
    recipe = msgspec.convert(one.interpreter.recipe, contract.Recipe)
    python = interpreters.row(
        connection, made.commit, flavour=one.interpreter.flavour,
        recipe=quick(recipe) if WAYS[ask.way].how == "probe" else recipe,
        platform=one.interpreter.platform, abi=one.interpreter.abi, trust=one.interpreter.trust, now=now,
    )  # fmt: skip
    if one.build:
        run = _build_again(connection, made.commit, python.id, now)
        _insert_probe(connection, one, ask, run, now)
        announce(connection, now, "run", run=run, interpreter=python.id, state="wanted")
        return
    gone = python.state == "published" and not farm.store.has(python.blob)
    if gone:
        connection.execute(
            update(schema.interpreters)
            .where(schema.interpreters.c.id == python.id)
            .values(state="wanted")
        )
    if gone or python.state == "wanted":
        _want_build(connection, made.commit, python.id, now)
    plain = {
        "interpreter_id": python.id, "commit_id": made.commit.id, "branch": made.commit.branch,
        "position": made.commit.position, "purpose": "probe", "state": "wanted", "summary": "",
        "tries": 0, "lost": 0, "created": now,
    }  # fmt: skip
    failed = python.state == "failed"
    if failed:
        plain |= {"state": "done", "verdict": "unknown", "finished": now,
                  "summary": "probe: skip: the interpreter does not build"}  # fmt: skip
    wide = WAYS[ask.way].wide
    target = one.row.target
    bare = not wide and not one.row.only and target_of(target).at_install
    run = inserted_id(
        connection.execute(
            insert(runs).values(
                **plain, kind="project", lane_id=one.lane.id, revision_label=made.label,
                revision=made.revision, good_run=made.lock_run,
                only=None if wide else list(one.row.only) or None,
            )
        )
    )  # fmt: skip
    unbuilt = {"outcome": "skip", "note": "the interpreter does not build", "answered": now}
    _insert_probe(
        connection, one, ask, run, now, bare=bare, lock=lock, **(unbuilt if failed else {})
    )
    announce(connection, now, "run", run=run, lane=one.lane.id, state="wanted")


def _insert_probe(
    connection: Connection, one: Going, ask: Ask, run: int, now: float, **more: Any
) -> None:
    connection.execute(
        insert(probes).values(
            investigation_id=one.row.id, run_id=run, way=ask.way, stage=ask.stage,
            mix=sorted(ask.new), place=ask.place, on_worker=ask.on, not_by=list(ask.not_by),
            why=ask.why[:200], created=now, **{"bare": False, "lock": None, **more},
        )
    )  # fmt: skip


def _want_build(connection: Connection, commit: Any, interpreter: int, now: float) -> None:
    under_way = select(runs.c.id).where(
        runs.c.interpreter_id == interpreter,
        runs.c.kind == "interpreter",
        runs.c.state.in_(("wanted", "dispatched", "running")),
    )
    if not connection.execute(under_way.limit(1)).first():
        _build_again(connection, commit, interpreter, now)


def _build_again(connection: Connection, commit: Any, interpreter: int, now: float) -> int:
    """Want a build, whatever is known of it. Returns its run."""
    made = connection.execute(
        insert(runs).values(
            kind="interpreter", interpreter_id=interpreter, commit_id=commit.id,
            branch=commit.branch, position=commit.position, purpose="probe", state="wanted",
            summary="", tries=0, lost=0, created=now,
        )
    )  # fmt: skip
    return inserted_id(made)

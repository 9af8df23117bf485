"""Interpreters' rows: one for each content, flavour, recipe, ABI and trust group, whoever asks for it."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert as upsert

from pybots.core.interpreters import interpreter_key
from pybots.ledger import schema
from pybots.ledger.engine import Record
from pybots_worker import contract

interpreters = schema.interpreters


def row(
    connection: Connection,
    commit: Record,
    *,
    flavour: str,
    recipe: contract.Recipe,
    platform: str,
    abi: str,
    trust: str,
    now: float,
) -> Record:
    """The row of a commit's interpreter, made as `wanted` when there is none. `commit`: a row of `commits`."""
    key = interpreter_key(
        content_key=commit.content_key, flavour=flavour, recipe=recipe, abi=abi, trust=trust
    )
    connection.execute(
        upsert(interpreters)
        .values(
            key=key,
            content_key=commit.content_key,
            flavour=flavour,
            platform=platform,
            abi=abi,
            trust=trust,
            recipe=msgspec.to_builtins(recipe),
            branch=commit.branch,
            commit_id=commit.id,
            state="wanted",
            created=now,
        )
        .on_conflict_do_nothing(index_elements=["key"])
    )
    return connection.execute(select(interpreters).where(interpreters.c.key == key)).one()

"""What investigations came to, read from the ledger for letters and pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, select

from pybots.core.evidence import Line
from pybots.ledger import schema
from pybots.mail.story import Announcement, Finding

investigations, commits = schema.investigations, schema.commits

AXES: Final = {"interpreter": "cpython", "project": "project", "dependencies": "dependency"}
"""What a breakage says of an axis (model.Axis)."""
MAX_FILES: Final = 20


def episode(reopened: int, role: str) -> int:
    """The number of an investigation among those of its breakage: how often that had come back, and what was sought."""
    return reopened if role == "broke" else -1 - reopened


def newest(connection: Connection, breakage: int, role: str = "broke") -> Any:
    """The row of the newest investigation of what broke (or mended) a breakage; None when there was none."""
    return connection.execute(
        select(investigations)
        .where(investigations.c.breakage_id == breakage, investigations.c.role == role)
        .order_by(investigations.c.id.desc())
        .limit(1)
    ).first()


def finding(connection: Connection, breakage: Any) -> Finding | None:
    """What was proved of a breakage (its row), this time that it broke; None while nothing is."""
    if breakage.axis not in AXES.values():
        return None
    row = newest(connection, breakage.id)
    return _finding(connection, breakage, row)


def traced(connection: Connection, shas: Sequence[str]) -> Sequence[Any]:
    """(last: the sha, breakage_id, title) of all that was proved to be these commits' doing."""
    breakages = schema.breakages
    return connection.execute(
        select(investigations.c.last, investigations.c.breakage_id, breakages.c.title)
        .join(breakages, breakages.c.id == investigations.c.breakage_id)
        .where(
            investigations.c.axis == "interpreter",
            investigations.c.last.in_(shas),
            investigations.c.status == "confirmed",
            investigations.c.role == "broke",
        )
        .order_by(investigations.c.breakage_id.desc())
    ).all()


def mender(connection: Connection, breakage: Any) -> Finding | None:
    """What was proved to have mended a breakage (its row); None while nothing is."""
    return _finding(connection, breakage, newest(connection, breakage.id, "mended"))


def _finding(connection: Connection, breakage: Any, row: Any) -> Finding | None:
    if (
        row is None
        or row.status != "confirmed"
        or row.episode != episode(breakage.reopened, row.role)
    ):
        return None
    files = _files(connection, breakage.branch, row.last) if row.axis == "interpreter" else []
    return Finding(
        axis=AXES[row.axis],
        id=row.last,
        title=row.title,
        author=row.author,
        confidence=row.confidence,
        reason=row.reason,
        evidence=evidence(row),
        files=tuple(files[:MAX_FILES]),
        files_left_out=max(0, len(files) - MAX_FILES),
        announced=Announcement(**row.announced) if row.announced else None,
    )


def evidence(row: Any) -> tuple[Line, ...]:
    """The lines of an investigation's evidence."""
    return tuple(Line(**{**one, "owners": tuple(one["owners"])}) for one in row.evidence)


def _files(connection: Connection, branch: str, sha: str) -> list[str]:
    found = connection.scalar(
        select(commits.c.files).where(commits.c.branch == branch, commits.c.sha == sha)
    )
    return [str(name) for name in found or ()]

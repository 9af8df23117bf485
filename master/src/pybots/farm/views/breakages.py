"""`/breakages`: what is broken, and what was lately."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select

from pybots.core.model import STANDING
from pybots.farm.home import Farm
from pybots.farm.views.common import Visit
from pybots.farm.views.frame import frame
from pybots.farm.views.lists import breakage_rows, breakages
from pybots_status import links
from pybots_status.pages import Breakages

MAX_STANDING: Final = 200
OVER: Final = 50


def page(farm: Farm, visit: Visit, *, before: int = 0) -> Breakages:
    """The page. `before`: only breakages that are over, with a smaller number."""
    standing = breakages.c.state.in_(sorted(STANDING))
    newest = select(breakages).order_by(breakages.c.id.desc())
    over = newest.where(~standing)
    with farm.ledger.read() as connection:
        now = farm.clock()
        around = frame(farm, connection, visit, title="Breakages", current="breakages")
        stand = (
            [] if before else connection.execute(newest.where(standing).limit(MAX_STANDING)).all()
        )
        if before:
            over = over.where(breakages.c.id < before)
        gone = connection.execute(over.limit(OVER + 1)).all()
        rows = breakage_rows(connection, [*stand, *gone[:OVER]], now)
    return Breakages(
        frame=around,
        standing=rows[: len(stand)],
        over=rows[len(stand) :],
        older=_older(gone[OVER - 1].id) if len(gone) > OVER else "",
    )


def _older(number: int) -> str:
    return links.with_query(links.BREAKAGES, before=number)

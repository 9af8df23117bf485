"""`/answer`: the form behind a personal link. Asking shows it, only sending it does something."""

from __future__ import annotations

import time

from pybots.core.dispositions import DISPOSITIONS, USUAL_DAYS, WORDS
from pybots.farm import answering, answers
from pybots.farm.answering import Link
from pybots.farm.answers import Answered, NoBreakage
from pybots.farm.home import Farm
from pybots.farm.views.common import Missing, Visit
from pybots.farm.views.frame import frame
from pybots_status.pages import AnswerPage, Choice


def link(farm: Farm, token: str) -> Link:
    """What a link allows. Raises Missing: whoever has none learns nothing."""
    try:
        return answering.read(farm, token, farm.clock())
    except answering.BadLink as error:
        raise Missing("this link does nothing", str(error)) from error


def form(
    farm: Farm, visit: Visit, token: str, *, problem: str = "", done: bool = False
) -> AnswerPage:
    """The form, filled with what holds now. Raises Missing."""
    allowed = link(farm, token)
    with farm.ledger.read() as connection:
        try:
            known = answers.of(connection, allowed.breakage, farm.clock())
        except NoBreakage as error:
            raise Missing(str(error)) from error
        around = frame(farm, connection, visit, title=f"Breakage {known.id}", refresh=0)
    return AnswerPage(
        frame=around,
        breakage=known.id,
        title=known.title,
        state=known.state,
        token=token,
        reader=allowed.person,
        choices=tuple(
            Choice(value=name, words=WORDS[name], chosen=name == known.disposition)
            for name in DISPOSITIONS
        ),
        person=known.person or ("" if known.decided_by else allowed.person.partition("@")[0]),
        issue=known.issue,
        note=known.note,
        days=int(USUAL_DAYS),
        holds=_holds(known),
        problem=problem,
        done=done,
    )


def _holds(known: Answered) -> str:
    if known.disposition == "untriaged" or known.expires is None:
        return ""
    return time.strftime("%Y-%m-%d", time.gmtime(known.expires))

"""Digests as people read them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pybots.core.audiences import DAY
from pybots.core.digest import Changed, Standing, Week, in_order, loudness
from pybots.core.normal import one_line
from pybots.mail.lines import WIDTH, body, counted, cut, listed, number, wrap
from pybots.mail.message import MAX_SUBJECT

SHOWN: Final = 30
LOUD: Final = ("", "! ", "!! ", "!!! ", "!!!! ")


def weekly(week: Week, url: str, day: str) -> tuple[str, str]:
    """Subject and body of the week's digest; `day` as 2026-01-31."""
    waiting = sum(1 for one in week.standing if one.disposition == "untriaged")
    subject = f"[Pybots] week to {day}: {number(len(week.standing), 'breakage')} open, {waiting:,} untriaged"
    return one_line(subject, MAX_SUBJECT), body(_week(week, url.rstrip("/")))


def _week(week: Week, base: str) -> Iterator[str]:
    yield from wrap(
        f"This week: {number(week.opened, 'breakage')} opened, {week.fixed:,} fixed,"
        f" {week.dismissed:,} dismissed by a control run; {number(week.runs, 'run')}."
    )
    yield ""
    yield from _open(week, base)
    yield from _section(
        "Parked, run once a day, since nobody acted:",
        [f"  {one.lane}  {_age(week.now - one.since)}" for one in week.parked],
    )
    yield from _section(
        "Flaky this week, most first:",
        [f"  {one.times:>4} x  {one.test}  in {one.lane}" for one in week.flaky],
    )
    yield from _section(
        "Workers missing:",
        [
            f"  {one.worker}  {'never seen' if one.last_seen is None else 'gone for ' + _age(week.now - one.last_seen)}"
            for one in week.gone
        ],
    )
    yield from _upkeep(week)
    if week.unknown or week.infra:
        yield from wrap(
            f"Unknown, and never counted as green: {number(week.unknown, 'run')}."
            f" Lost to the farm's own faults: {number(week.infra, 'run')}."
        )
        yield ""
    if week.held_back:
        yield f"{number(week.held_back, 'letter')} held back by the caps on mail."
        yield ""
    yield "--"
    yield from wrap(f"Once a week, and only when there is something. All of it, now: {base}/")


def _open(week: Week, base: str) -> Iterator[str]:
    standing = in_order(week.standing)
    untriaged = [one for one in standing if one.disposition == "untriaged"]
    answered = [one for one in standing if one.disposition != "untriaged"]
    if untriaged:
        yield "Nobody has looked at these yet, the oldest first:"
        yield ""
        yield from _standing(untriaged, week.now, base)
    if answered:
        yield "Open, and somebody has answered:"
        yield ""
        yield from _standing(answered, week.now, base)


def _standing(found: Sequence[Standing], now: float, base: str) -> Iterator[str]:
    for one in found[:SHOWN]:
        age = _age(now - one.since)
        who = one.disposition if one.disposition != "untriaged" else ""
        said = ", ".join(word for word in (who, one_line(one.person, 40), one.axis) if word)
        unsure = ", suspected" if one.suspected else ""
        yield cut(f"  {LOUD[loudness(one, now)]}{age}: {one.title}")
        where = listed(one.projects) or "CPython"
        yield cut(
            f"      {where}, {number(one.lanes, 'lane')}{unsure}{f' ({said})' if said else ''}"
        )
        if one.issue:
            yield cut(f"      {one.issue}")
        yield f"      {base}/breakage/{one.id}"
    if len(found) > SHOWN:
        yield f"  … and {len(found) - SHOWN:,} more"
    yield ""


def _upkeep(week: Week) -> Iterator[str]:
    """Each case with the change that is proposed: its keeper needs no shell to know what to do."""
    if not week.upkeep:
        return
    yield "Project files that want a look, each with a change to propose:"
    yield ""
    for one in week.upkeep[:SHOWN]:
        age = f", for {_age(week.now - one.since)}" if one.since is not None else ""
        yield cut(f"  {one.project} ({one.source}): {one.what}{age}")
        yield from (f"      {line}" for line in wrap(one.propose, WIDTH - 6))
    if len(week.upkeep) > SHOWN:
        yield f"  and {len(week.upkeep) - SHOWN:,} more: `pybots project upkeep`"
    yield ""


def _section(head: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield head
        yield ""
        yield from counted([cut(line, WIDTH) for line in lines], SHOWN)
        yield ""


def _age(seconds: float) -> str:
    days = int(seconds // DAY)
    if days < 1:
        return "today"
    return number(days, "day") if days < 14 else number(days // 7, "week")


def daily(
    changed: Sequence[Changed], url: str, day: str, *, project: str, held_back: int = 0
) -> tuple[str, str]:
    """One day's changes, for a project's address or (project "") for the list."""
    who = project or "all projects"
    subject = f"[Pybots] {who}: {number(len(changed), 'change')} in the day to {day}"
    return one_line(subject, MAX_SUBJECT), body(_day(changed, url.rstrip("/"), project, held_back))


def _day(changed: Sequence[Changed], base: str, project: str, held_back: int) -> Iterator[str]:
    heads = {
        "opened": "Newly broken:", "fixed": "Fixed:",
        "withdrawn": "Withdrawn, for it was chance or the environment:",
    }  # fmt: skip
    for what, head in heads.items():
        mine = [one for one in changed if one.what == what]
        if mine:
            yield head
            yield ""
            for one in mine[:SHOWN]:
                where = "" if project else f"{listed(one.projects) or 'CPython'}: "
                yield cut(f"  {where}{one.title}")
                yield f"      {base}/breakage/{one.id}"
            if len(mine) > SHOWN:
                yield f"  … and {len(mine) - SHOWN:,} more"
            yield ""
    yield "--"
    if held_back:
        yield f"{number(held_back, 'letter')} to you held back: too many in a day."
    why = f"{project}'s address" if project else "the list"
    yield from wrap(f"Once a day, and only when something changed; {why} chose it so.")

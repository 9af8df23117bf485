"""Pages of words: `/legend`, `/join`, and answers that are not a page."""

from __future__ import annotations

from typing import Literal

from pybots.farm import kit
from pybots.farm.home import Farm
from pybots.farm.views.common import Visit
from pybots.farm.views.frame import bare_frame, frame
from pybots_status.pages import ErrorPage, Legend, TextBlock, TextPage

Blocks = tuple[tuple[Literal["heading", "text", "code"], str], ...]


def legend(farm: Farm, visit: Visit) -> Legend:
    """The table of states, in words."""
    with farm.ledger.read() as connection:
        around = frame(farm, connection, visit, title="Legend", current="legend", refresh=0)
    return Legend(frame=around)


def join(farm: Farm, visit: Visit) -> TextPage:
    """How to volunteer a machine, and how to register a project."""
    with farm.ledger.read() as connection:
        around = frame(farm, connection, visit, title="Join", current="join", refresh=0)
    blocks: Blocks = (
        ("heading", "Register a project"),
        ("text", "One small file: where the project's sources come from, and how its tests run."),
        (
            "code",
            "./pybots project new yourproject\n./pybots project check projects/yourproject.toml",
        ),
        ("text", "See what the farm will see, on your own machine, without a farm:"),
        ("code", "./pybots try yourproject"),
        *_volunteer(farm),
    )
    return TextPage(
        frame=around,
        heading="Take part",
        blocks=tuple(TextBlock(kind=kind, text=text) for kind, text in blocks),
    )


def _volunteer(farm: Farm) -> Blocks:
    """One command after an invitation. What the kit is called comes from the kit itself."""
    url = farm.config.url
    try:
        wheel = kit.kit().name
    except kit.KitError as error:
        return (("heading", "Volunteer a machine"), ("text", f"Not at this farm yet: {error}."))
    venv = "~/pybots-worker/venv"
    return (
        ("heading", "Volunteer a machine"),
        (
            "text",
            "Everything a worker runs stays in a sandbox, without your files, other processes or the network unless"
            " a project declares it. You decide which projects and kinds of work, when, and how many processors, how"
            " much memory, disk and bandwidth; the worker keeps to it whatever the farm says.",
        ),
        (
            "text",
            f"Write to {farm.config.mail.admin} for an invitation. It comes with one command to paste, which looks like"
            " this; it checks the machine, says what will run, and starts:",
        ),
        (
            "code",
            f"python3 -m venv {venv}\n{venv}/bin/pip install '{url}kit/{wheel}#sha256=…'\n"
            f"{venv}/bin/pybots-worker join {url} pybots1-…",
        ),
        ("text", "To stop for a while, and to leave without a trace:"),
        ("code", "pybots-worker pause --for 8h\npybots-worker resume\npybots-worker leave"),
    )


def error(farm: Farm, visit: Visit, status: int, message: str, hint: str = "") -> ErrorPage:
    """An answer that is not a page; made without the ledger, which may be what failed."""
    around = bare_frame(farm, visit, title=f"{status}", dark=status >= 500)
    return ErrorPage(frame=around, status=status, message=message, hint=hint)

"""What became of letters that were handed to an SMTP server, and the way to it. The sending itself is glue's."""

from __future__ import annotations

from collections.abc import Iterable

from pybots.farm import news, notify
from pybots.farm.home import Farm
from pybots.mail.smtp import Result, Route


def ended(farm: Farm, letter: notify.Letter, result: Result) -> bool:
    """Mark the letter. Returns whether it was taken over.

    A letter that was taken over but not yet marked when we are killed is sent again, with the same Message-ID."""
    if not result.taken:
        notify.failed(farm, letter.id, result.error, result.permanent)
        return False
    notify.delivered(farm, letter.id)
    for who, why in result.refused.items():
        news.trouble(farm, f"letter {letter.id} was not taken for {who}: {why}")
    return True


def delayed(farm: Farm, letters: Iterable[notify.Letter], error: str) -> None:
    """The server can't be reached: all of them wait."""
    for letter in letters:
        notify.failed(farm, letter.id, error, False)


def route(farm: Farm) -> Route:
    """The way to the SMTP server, as farm.toml has it. Raises ConfigErrors when the password is gone."""
    given = farm.config.mail.smtp
    password = (
        farm.config.secret(farm.folder.root, given.password_secret) if given.password_secret else ""
    )
    return Route(
        host=given.host,
        port=given.port,
        security=given.security,
        username=given.username,
        password=password,
        name=farm.config.mail.sender.rpartition("@")[2],
    )

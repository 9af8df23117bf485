"""Delivering what is due in the outbox, by the transport the farm is set to. Blocking, for a thread."""

from __future__ import annotations

from smtplib import SMTP

from pybots.farm import news, notify
from pybots.farm.home import Farm
from pybots.mail import smtp


def deliver(farm: Farm) -> int:
    """Deliver every letter that is due. Returns how many were taken over.

    A letter that was taken over but not yet marked when we are killed is sent again, with the same Message-ID."""
    if farm.config.mail.transport == "maildir":
        return notify.deliver_to_maildir(farm)
    letters = notify.due(farm, farm.clock())
    if not letters:
        return 0
    try:
        with smtp.session(route(farm)) as server:
            return sum(_send(farm, server, letter) for letter in letters)
    except smtp.SmtpError as error:  # no server, no session: all of them wait
        for letter in letters:
            notify.failed(farm, letter.id, str(error), False)
        return 0


def _send(farm: Farm, server: SMTP, letter: notify.Letter) -> bool:
    try:
        refused = smtp.send(server, letter.message, letter.sender, letter.recipients)
    except smtp.SmtpError as error:
        notify.failed(farm, letter.id, str(error), error.permanent)
        return False
    notify.delivered(farm, letter.id)
    for who, why in refused.items():
        news.trouble(farm, f"letter {letter.id} was not taken for {who}: {why}")
    return True


def route(farm: Farm) -> smtp.Route:
    """The way to the SMTP server, as farm.toml has it. Raises ConfigErrors when the password is gone."""
    given = farm.config.mail.smtp
    password = (
        farm.config.secret(farm.folder.root, given.password_secret) if given.password_secret else ""
    )
    return smtp.Route(
        host=given.host,
        port=given.port,
        security=given.security,
        username=given.username,
        password=password,
        name=farm.config.mail.sender.rpartition("@")[2],
    )

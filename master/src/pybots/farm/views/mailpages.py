"""`/mail` and `/mail/<id>`: what the farm wrote to people, as it was sent."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from typing import Any, Final

from sqlalchemy import select

from pybots.farm.home import Farm
from pybots.farm.views.common import Missing, Visit
from pybots.farm.views.frame import frame
from pybots.farm.views.lists import PRIVATE, mail_row, masked, outbox, select_mail
from pybots_status import links
from pybots_status.pages import Fact, Mail, MailArchive

PAGE: Final = 50
MAX_BODY: Final = 200_000
SHOWN_HEADERS: Final = ("Date", "From", "List-Id", "Message-ID", "In-Reply-To")


def archive(farm: Farm, visit: Visit, *, before: int = 0) -> MailArchive:
    """Newest first. `before`: only messages with a smaller id."""
    query = select_mail().order_by(outbox.c.id.desc()).limit(PAGE + 1)
    if before:
        query = query.where(outbox.c.id < before)
    with farm.ledger.read() as connection:
        found = connection.execute(query).all()
        around = frame(farm, connection, visit, title="Mail", current="mail")
    older = links.with_query(links.MAIL, before=found[PAGE - 1].id) if len(found) > PAGE else ""
    public = (farm.config.mail.list,)
    return MailArchive(
        frame=around, rows=tuple(mail_row(row, public) for row in found[:PAGE]), older=older
    )


def message(farm: Farm, visit: Visit, number: int) -> Mail:
    """One message. Raises Missing, also for mail that went to the farm's own people only."""
    public = (farm.config.mail.list,)
    with farm.ledger.read() as connection:
        row = connection.execute(select(outbox).where(outbox.c.id == number)).first()
        if row is None or row.audience in PRIVATE:
            raise Missing(f"there is no message {number} in the archive", "/mail lists them")
        thread = connection.execute(
            select_mail()
            .where(outbox.c.thread == row.thread, outbox.c.id != number)
            .order_by(outbox.c.id)
            .limit(PAGE)
        ).all()
        around = frame(farm, connection, visit, title=row.subject[:100])
    parsed = email.message_from_string(row.message, policy=email.policy.default)
    return Mail(
        frame=around,
        row=mail_row(row, public),
        headers=_headers(parsed, [masked(address, public) for address in row.recipients or ()]),
        body=_body(parsed),
        thread=tuple(mail_row(item, public) for item in thread),
    )


def _headers(parsed: EmailMessage, recipients: list[str]) -> tuple[Fact, ...]:
    facts = [
        Fact(name=name, value=str(parsed[name])[:500]) for name in SHOWN_HEADERS if parsed[name]
    ]
    return (*facts, Fact(name="To", value=", ".join(recipients)))


def _body(parsed: EmailMessage) -> str:
    part: Any = parsed.get_body(preferencelist=("plain",))
    return str(part.get_content())[:MAX_BODY] if part is not None else ""

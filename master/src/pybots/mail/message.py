"""Messages as mail servers and readers take them: threads, and headers that nobody can break out of. Pure.

The clock and the addresses are brought along; the text comes from `compose`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

from pybots.core.normal import one_line

MAX_SUBJECT: Final = 150
_POLICY: Final = SMTP.clone(max_line_length=78, cte_type="7bit")


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """What a message needs besides its text. `thread`: the Message-ID it answers; its own one begins a thread.

    `unsubscribe`: the address that ends it for the reader. `run` 0: it is about no single one."""

    message_id: str
    thread: str
    sender: str
    name: str
    list: str
    recipients: tuple[str, ...]
    at: float
    url: str
    topic: str
    run: int = 0
    unsubscribe: str = ""


def message_id(key: str, farm: str, sender: str) -> str:
    """The Message-ID for an alert's key on one farm: the same whenever it is asked for."""
    name = hashlib.sha256(f"{farm}\0{key}".encode()).hexdigest()[:32]
    return f"<pybots.{name}@{sender.rpartition('@')[2] or 'localhost'}>"


def message(envelope: Envelope, subject: str, body: str) -> bytes:
    """The whole message, ready for SMTP or a Maildir: CRLF line ends, ASCII only, lines within bounds."""
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = Address(display_name=one_line(envelope.name, 60), addr_spec=envelope.sender)
    to, cc = _addressees(envelope)
    mail["To"] = [Address(addr_spec=address) for address in to]
    if cc:
        mail["Cc"] = [Address(addr_spec=address) for address in cc]
    mail["Subject"] = _header(subject)
    mail["Date"] = format_datetime(datetime.fromtimestamp(envelope.at, UTC))
    mail["Message-ID"] = envelope.message_id
    if envelope.thread != envelope.message_id:
        mail["In-Reply-To"] = envelope.thread
        mail["References"] = envelope.thread
    mail["Auto-Submitted"] = "auto-generated"
    if envelope.list in envelope.recipients:
        local, _, domain = envelope.list.rpartition("@")
        mail["List-Id"] = f"<{local}.{domain}>"
        mail["List-Archive"] = f"<{envelope.url.rstrip('/')}/mail>"
        mail["Precedence"] = "list"
    if envelope.unsubscribe:
        mail["List-Unsubscribe"] = f"<{envelope.unsubscribe}>"
    if envelope.run:
        mail["X-Pybots-Run"] = str(envelope.run)
    mail["X-Pybots-Topic"] = envelope.topic
    mail.set_content(body)
    return mail.as_bytes()


def _header(said: str) -> str:
    """Text for a header. Encoded words in it would be decoded when it is set, line feeds and all; so there are none."""
    return one_line(said, MAX_SUBJECT).replace("=?", "= ?")


def _addressees(envelope: Envelope) -> tuple[list[str], list[str]]:
    """The list in To and projects in Cc; without the list, everybody in To."""
    others = [address for address in envelope.recipients if address != envelope.list]
    return ([envelope.list], others) if len(others) < len(envelope.recipients) else (others, [])

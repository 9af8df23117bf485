"""Handing letters to an SMTP server: one session for a batch, and a clear word on what may be tried again.

Blocking, for a thread. The standard library's client is used rather than an asynchronous one: it says for each
recipient what became of it, and takes TLS only when told to.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

TIMEOUT_SECONDS: Final = 30.0


class SmtpError(Exception):
    """The server, or the way to it, did not take a letter. `permanent`: it never will."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


@dataclass(frozen=True, kw_only=True)
class Route:
    """The server that takes the farm's mail. `name` is how we introduce ourselves."""

    host: str
    port: int
    security: Literal["none", "starttls", "tls"]
    username: str = ""
    password: str = field(default="", repr=False)
    name: str = "localhost"


@contextmanager
def session(route: Route) -> Iterator[smtplib.SMTP]:
    """A session ready for letters. Raises SmtpError, never a permanent one: what is wrong here can be mended."""
    try:
        server = _connected(route)
    except (OSError, smtplib.SMTPException) as error:
        raise SmtpError(f"{route.host}:{route.port}: {_words(error)}") from error
    try:
        yield server
    finally:
        _leave(server)


def _connected(route: Route) -> smtplib.SMTP:
    context = ssl.create_default_context()
    server: smtplib.SMTP
    if route.security == "tls":
        server = smtplib.SMTP_SSL(
            route.host, route.port, route.name, timeout=TIMEOUT_SECONDS, context=context
        )
    else:
        server = smtplib.SMTP(route.host, route.port, route.name, timeout=TIMEOUT_SECONDS)
    try:
        if route.security == "starttls":
            server.starttls(context=context)
        if route.username:
            server.login(route.username, route.password)
    except (OSError, smtplib.SMTPException):
        server.close()
        raise
    return server


def _leave(server: smtplib.SMTP) -> None:
    try:
        server.quit()
    except (OSError, smtplib.SMTPException):
        server.close()


def send(
    server: smtplib.SMTP, message: bytes, sender: str, recipients: Sequence[str]
) -> dict[str, str]:
    """Send one letter. Returns the recipients that were refused while others were not, with the server's words.

    Raises SmtpError when nobody gets it."""
    try:
        refused = server.sendmail(sender, list(recipients), message)
    except smtplib.SMTPRecipientsRefused as error:
        permanent = all(500 <= code < 600 for code, _ in error.recipients.values())
        words = "; ".join(f"{who}: {_answer(*why)}" for who, why in error.recipients.items())
        raise SmtpError(words, permanent=permanent) from error
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        permanent = 500 <= error.smtp_code < 600
        raise SmtpError(_words(error), permanent=permanent) from error
    except (OSError, smtplib.SMTPException) as error:
        raise SmtpError(_words(error)) from error
    return {who: _answer(*why) for who, why in refused.items()}


def _words(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return _answer(error.smtp_code, error.smtp_error)
    return str(error) or type(error).__name__


def _answer(code: int, text: bytes | str) -> str:
    shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {shown}"[:500]

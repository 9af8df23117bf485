"""One letter to an SMTP server, by Twisted's client: a clear word for each recipient, and TLS exactly when it was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from typing import Any, Final, Protocol

from twisted.internet import defer, ssl
from twisted.mail import smtp

from pybots.mail.smtp import Result, Route, accepted, declined, nobody, trouble

TIMEOUT_SECONDS: Final = 30.0


class Letter(Protocol):
    """What is sent: the whole message with CRLF line ends, the envelope's sender and recipients."""

    @property
    def message(self) -> bytes: ...
    @property
    def sender(self) -> str: ...
    @property
    def recipients(self) -> tuple[str, ...]: ...


class _Whole(BytesIO):
    """Read in one piece: the client doubles a line's leading dot only where it sees the line end before it."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read()


class _Sender(smtp.ESMTPSender):
    debug = False  # its log would hold the password

    def sendError(self, exc: Any) -> None:
        if self.factory.sendFinished:  # the letter's fate is known: only the farewell failed
            self.transport.abortConnection()
        else:
            super().sendError(exc)


class _Factory(smtp.ESMTPSenderFactory):
    """`closed` fires when the connection is over, or was never made."""

    protocol = _Sender
    noisy = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.closed: Any = defer.Deferred()

    def _processConnectionError(self, connector: Any, err: Any) -> None:
        super()._processConnectionError(connector, err)
        if not self.closed.called:
            self.closed.callback(None)


async def send(reactor: Any, route: Route, letter: Letter) -> Result:
    """Send one letter over a connection of its own. Never raises for what server or network do."""
    done: Any = defer.Deferred()
    factory = _factory(route, letter, done)
    if route.security == "tls":
        options = ssl.optionsForClientTLS(route.host)
        reactor.connectSSL(route.host, route.port, factory, options, timeout=TIMEOUT_SECONDS)
    else:
        reactor.connectTCP(route.host, route.port, factory, timeout=TIMEOUT_SECONDS)
    result = await _result(route, done)
    await factory.closed
    return result


async def _result(route: Route, done: Any) -> Result:
    try:
        _, answers = await done
    except smtp.SMTPDeliveryError as error:
        refused = _refused(error.addresses)
        if error.addresses and len(refused) == len(error.addresses):
            return nobody(refused)
        return declined(error.code, _text(error.resp))
    except smtp.SMTPClientError as error:
        code = f"{error.code} " if error.code and error.code > 0 else ""
        return trouble(f"{route.host}:{route.port}: {code}{_text(error.resp)}")
    return accepted(_refused(answers))


def _factory(route: Route, letter: Letter, done: Any) -> Any:
    login = bool(route.username)
    factory = _Factory(
        route.username.encode(),
        route.password.encode(),
        letter.sender,
        list(letter.recipients),
        _Whole(letter.message.replace(b"\r\n", b"\n")),
        done,
        retries=0,  # how long a letter waits is decided by farm.notify
        timeout=TIMEOUT_SECONDS,
        contextFactory=ssl.optionsForClientTLS(route.host)
        if route.security == "starttls"
        else None,
        heloFallback=not login,
        requireAuthentication=login,
        requireTransportSecurity=route.security == "starttls",
    )
    factory.domain = route.name.encode()
    return factory


def _refused(answers: Iterable[tuple[bytes, int, bytes]]) -> dict[str, tuple[int, str]]:
    return {
        address.decode("ascii", "replace"): (code, _text(words))
        for address, code, words in answers
        if code not in smtp.SUCCESS
    }


def _text(words: bytes | str) -> str:
    return words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)

"""The worker's way to its farm's web process: JSON over HTTP, with the farm's own authority where it has one. Blocks."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar

import msgspec

from pybots_worker import fetch, welcome
from pybots_worker.contract import ContractError
from pybots_worker.plainly import plain
from pybots_worker.welcome import Code, Hello, Join, Joined, Known

TIMEOUT: Final = 30.0


class LinkError(Exception):
    """The farm can't be reached or does not answer as one; the text says what to look at. It may pass."""


class Turned(Exception):
    """The farm refuses, and gives its reason; asking again does not help."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a farm is reached. `ca`: its own authority (PEM), "" where it has none; `strict`: web pages have it too."""

    url: str
    ca: str = ""
    strict: bool = False

    @property
    def host(self) -> str:
        """The farm's host, as in its address."""
        return urllib.parse.urlsplit(self.url).hostname or ""

    def context(self) -> ssl.SSLContext:
        """Whom to believe: the farm's own authority alone, or whom this machine believes anyway."""
        if self.strict:
            return ssl.create_default_context(cadata=self.ca)
        return ssl.create_default_context()


def address(text: str) -> str:
    """A farm's address as it is kept. Raises LinkError, also for one that would show secrets to the whole network."""
    parts = urllib.parse.urlsplit(text if "//" in text else f"https://{text}")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise LinkError(f"{text!r} is no farm's address: it looks like https://farm.example/")
    if parts.scheme == "http" and not fetch.is_loopback(parts.hostname):
        raise LinkError("a farm on another machine is reached by https only")
    return urllib.parse.urlunsplit(
        (parts.scheme, parts.netloc, parts.path.rstrip("/") + "/", "", "")
    )


def find(url: str, code: Code) -> Way:
    """The way to a farm, its authority found and compared with the invitation's pin. Nothing secret is sent.

    Raises LinkError, and Turned when somebody else answers in the farm's place."""
    way = Way(url=url)
    if not code.pin:
        _get(way, "healthz", way.context())
        return way
    blind = ssl.create_default_context()
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    pem = _get(way, welcome.AUTHORITY.lstrip("/"), blind).decode("ascii", "replace")
    try:
        found = ssl.PEM_cert_to_DER_cert(pem)
    except ValueError as error:
        raise Turned(f"{url} shows no certificate authority, the invitation names one") from error
    if welcome.pin_of(found) != code.pin:
        raise Turned(
            "the certificate authority is not the one the invitation names: who answers here?"
        )
    way = Way(url=url, ca=pem, strict=url.startswith("https:"))
    try:
        _get(way, "healthz", way.context())
    except LinkError as error:
        if not way.strict:
            raise
        # The pages stand behind a proxy with a certificate of the usual kind.
        usual = Way(url=url, ca=pem)
        try:
            _get(usual, "healthz", usual.context())
        except LinkError:
            raise error from None
        return usual
    return way


def clock(way: Way) -> float | None:
    """The farm's time (epoch seconds, whole); None when it does not say."""
    with _open(way, urllib.request.Request(f"{way.url}healthz"), way.context()) as answer:
        said = answer.headers.get("Date")
    try:
        return parsedate_to_datetime(said).timestamp() if said else None
    except ValueError:
        return None


def join(way: Way, asked: Join) -> Joined:
    """Exchange an invitation. Raises LinkError, Turned."""
    said = _post(way, welcome.JOIN, asked, "", Joined)
    return msgspec.structs.replace(said, farm=plain(said.farm), words=plain(said.words))


def hello(way: Way, credential: str, said: Hello) -> Known:
    """Tell how this worker is. Raises LinkError, Turned when the farm does not know the credential."""
    known = _post(way, welcome.HELLO, said, credential, Known)
    return msgspec.structs.replace(known, reason=plain(known.reason, 1000))


Answer = TypeVar("Answer", Joined, Known)


def _post(
    way: Way, path: str, message: Join | Hello, credential: str, kind: type[Answer]
) -> Answer:
    request = urllib.request.Request(
        way.url + path.lstrip("/"), data=welcome.encode(message), method="POST"
    )
    request.add_header("Content-Type", "application/json")
    if credential:
        request.add_header("Authorization", f"Bearer {credential}")
    with _open(way, request, way.context()) as answer:
        data = answer.read(welcome.MAX_BYTES + 1)
    try:
        return welcome.decode(data, kind)
    except ContractError as error:
        raise LinkError(f"{way.url} does not answer as a farm: {error}") from error


def _get(way: Way, path: str, context: ssl.SSLContext) -> bytes:
    with _open(way, urllib.request.Request(way.url + path), context) as answer:
        data: bytes = answer.read(welcome.MAX_BYTES)
    return data


def _open(way: Way, request: urllib.request.Request, context: ssl.SSLContext) -> Any:
    opener = fetch.opener(way.host, context, _Stay())
    try:
        return opener.open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        raise _refusal(way, error) from error
    except urllib.error.URLError as error:
        raise LinkError(f"{way.url}: {_words(error.reason)}") from error
    except (OSError, http.client.HTTPException) as error:
        raise LinkError(f"{way.url}: {_words(error)}") from error


NOT_YET, NO_MORE = 9, 10
"""OpenSSL's numbers of the two things that a wrong clock makes it say of a certificate."""


def _words(error: object) -> str:
    """Why a farm can't be reached, and what to look at."""
    match error:
        case ssl.SSLCertVerificationError(verify_code=code) if code in (NOT_YET, NO_MORE):
            now = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
            side = "not valid yet" if code == NOT_YET else "not valid any more"
            return f"its certificate is {side}. Is the clock here right? It says {now} UTC"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not to be trusted here: {error.verify_message}"
        case ssl.SSLError():
            return f"no TLS is spoken there ({error}): is the address right?"
        case http.client.RemoteDisconnected():
            return "it hangs up: does it speak https, is the address right?"
        case ConnectionRefusedError():
            return "nothing listens there: is the farm up, and the address right?"
        case socket.gaierror():
            return "there is no machine of this name: is the address right?"
        case TimeoutError():
            return "no answer: is the farm up, and does this machine reach it?"
    return plain(str(error))


class _Stay(urllib.request.HTTPRedirectHandler):
    """No redirects: a credential goes where the owner sent it, or nowhere."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _refusal(way: Way, error: urllib.error.HTTPError) -> Exception:
    """The farm's own words where it has some."""
    with error:
        data = error.read(4000)
    try:
        words = msgspec.json.decode(data, type=dict[str, Any]).get("error", "")
    except (msgspec.DecodeError, UnicodeDecodeError):
        words = ""
    said = plain(str(words)) or f"{error.code} {error.reason}"
    if error.code in (400, 401, 403):
        return Turned(said)
    hint = ": is the address right?" if error.code == 404 and not words else ""
    return LinkError(f"{way.url}: {said}{hint}")

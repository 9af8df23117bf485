"""Letters leave for a real SMTP server: taken, refused, put off, over TLS, with a password; and none is lost."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet import defer, reactor, threads

from pybots.farm.home import Farm
from pybots.glue import postman
from pybots.ledger import schema
from tests.unit.farm.builders import Book, Clock, make_farm

# The test's own server wants a password without TLS, or knows nothing of the TLS around it.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")

PASSWORD = "correct horse"


@pytest.fixture(scope="module", autouse=True)
def running() -> Iterator[None]:
    """The reactor of this process, in a thread of its own: it can be started only once."""
    thread = threading.Thread(
        target=reactor.run,  # type: ignore[attr-defined] # put there when it is chosen
        kwargs={"installSignalHandlers": False},
        daemon=True,
    )
    thread.start()
    yield
    threads.blockingCallFromThread(reactor, lambda: None)


async def call(function: Any, /, *args: Any) -> Any:
    return await threads.deferToThread(function, *args)


def deliver(farm: Farm) -> int:
    """What the postman does when it is woken, as far as letters are written."""
    taken: int = threads.blockingCallFromThread(
        reactor, lambda: defer.ensureDeferred(postman.deliver(reactor, call, farm))
    )
    return taken


@dataclass
class Mailbox:
    """Takes letters, unless told to answer something else for a recipient."""

    answers: dict[str, str] = field(default_factory=dict)
    taken: list[Any] = field(default_factory=list)
    secure: list[bool] = field(default_factory=list)

    async def handle_RCPT(
        self, _server: Any, session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address in self.answers:
            return self.answers[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:
        self.taken.append(envelope)
        self.secure.append(session.ssl is not None)
        return "250 OK"


@dataclass
class Office:
    """A farm that sends by SMTP, and the server."""

    farm: Farm
    box: Mailbox

    def write(self, *recipients: str) -> int:
        number = len(self.rows()) + 1
        return Book(self.farm)._insert(
            schema.outbox,
            alert=f"alert {number}", message_id=f"<{number}@pybots>", thread=f"<{number}@pybots>",
            audience="list", recipients=list(recipients or ("list@example.org",)),
            subject="It broke", message=f"Message-ID: <{number}@pybots>\r\n\r\nIt broke.\r\n",
            state="queued", tries=0, next_try=0.0, created=self.farm.clock(),
        )  # fmt: skip

    def rows(self) -> list[Any]:
        with self.farm.ledger.read() as connection:
            return list(connection.execute(schema.outbox.select()).all())

    def states(self) -> list[str]:
        return [row.state for row in self.rows()]

    def later(self, seconds: float) -> None:
        assert isinstance(self.farm.clock, Clock)
        self.farm.clock.now += seconds


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def farm_for(root: Path, port: int, **smtp: Any) -> Farm:
    given = {"host": "127.0.0.1", "port": port, **smtp}
    return make_farm(root, mail={"transport": "smtp", "sender": "farm@example.org", "smtp": given})


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    box = Mailbox()
    server = Controller(box, hostname="127.0.0.1", port=free_port())
    server.start()
    yield Office(farm_for(tmp_path, server.port), box)
    server.stop()


def test_a_letter_arrives_as_it_was_written(office: Office) -> None:
    office.write("list@example.org", "maintainer@example.org")
    assert deliver(office.farm) == 1
    [envelope] = office.box.taken
    assert envelope.mail_from == "farm@example.org"
    assert envelope.rcpt_tos == ["list@example.org", "maintainer@example.org"]
    assert envelope.content == b"Message-ID: <1@pybots>\r\n\r\nIt broke.\r\n"
    assert office.states() == ["sent"]


def test_a_letter_is_sent_once(office: Office) -> None:
    office.write()
    deliver(office.farm)
    office.later(100_000)
    assert deliver(office.farm) == 0
    assert len(office.box.taken) == 1


def test_a_server_that_is_down_loses_nothing(tmp_path: Path) -> None:
    office = Office(farm_for(tmp_path, free_port()), Mailbox())
    office.write()
    office.write()
    assert deliver(office.farm) == 0
    assert [(row.state, row.tries) for row in office.rows()] == [("queued", 1), ("queued", 1)]
    assert "127.0.0.1" in office.rows()[0].error
    server = Controller(office.box, hostname="127.0.0.1", port=office.farm.config.mail.smtp.port)
    server.start()
    try:
        assert deliver(office.farm) == 0, "not before its time"
        office.later(60)
        assert deliver(office.farm) == 2
    finally:
        server.stop()
    assert office.states() == ["sent", "sent"]


def test_a_recipient_that_does_not_exist_is_not_tried_again(office: Office) -> None:
    office.box.answers["gone@example.org"] = "550 no such user"
    office.write("gone@example.org")
    office.write()
    assert deliver(office.farm) == 1
    assert office.states()[:2] == ["rejected", "sent"]
    assert "550" in office.rows()[0].error
    told = office.rows()[2]
    assert (told.audience, told.recipients) == ("admin", ["root@localhost"])
    assert "550 no such user" in told.message
    office.box.answers["root@localhost"] = "550 not here either"
    deliver(office.farm)
    assert office.states() == ["rejected", "sent", "rejected"], "and nobody is told of that by mail"


def test_lines_that_begin_with_a_dot_arrive_wherever_they_stand(office: Office) -> None:
    """A lone dot would end the letter: also where the client reads the next piece of it."""
    text = b"".join(b".\r\n" + b"x" * (n % 70) + b"\r\n..\r\n" for n in range(3000))
    office.write()
    with office.farm.ledger.write() as connection:
        connection.execute(schema.outbox.update().values(message=(b"A: b\r\n\r\n" + text).decode()))
    assert deliver(office.farm) == 1
    assert office.box.taken[0].content == b"A: b\r\n\r\n" + text


def test_a_recipient_that_is_put_off_is_tried_again(office: Office) -> None:
    office.box.answers["busy@example.org"] = "451 try later"
    office.write("busy@example.org")
    deliver(office.farm)
    assert office.states() == ["queued"]
    office.box.answers.clear()
    office.later(60)
    deliver(office.farm)
    assert office.states() == ["sent"]


def test_one_bad_address_keeps_nobody_else_from_hearing(office: Office) -> None:
    office.box.answers["gone@example.org"] = "550 no such user"
    office.write("gone@example.org", "list@example.org")
    assert deliver(office.farm) == 1
    assert office.box.taken[0].rcpt_tos == ["list@example.org"]
    with office.farm.ledger.read() as connection:
        events = connection.execute(schema.events.select()).all()
    assert any("gone@example.org" in str(event.data) for event in events)


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def knows(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
    assert isinstance(data, LoginPassword)
    return AuthResult(success=data.password == PASSWORD.encode(), handled=False)


@pytest.mark.parametrize(
    ("security", "trusted"), [("tls", True), ("starttls", True), ("tls", False)]
)
def test_letters_travel_over_verified_tls_with_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, security: str, trusted: bool
) -> None:
    path = certificate(tmp_path)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    box = Mailbox()
    tls = {"ssl_context": context} if security == "tls" else {"tls_context": context}
    more: dict[str, Any] = {"auth_require_tls": security == "starttls", **tls}
    server = Controller(
        box, hostname="127.0.0.1", port=free_port(), authenticator=knows, auth_required=True, **more
    )
    server.start()
    try:
        farm = farm_for(
            tmp_path, server.port, security=security, username="farm", password_secret="smtp"
        )
        farm.folder.secrets.mkdir(exist_ok=True)
        (farm.folder.secrets / "smtp").write_text(PASSWORD + "\n")
        office = Office(farm, box)
        office.write()
        deliver(farm)
    finally:
        server.stop()
    if trusted:
        assert office.states() == ["sent"]
        assert len(box.taken) == 1
    else:
        assert office.states() == ["queued"], "the password is for nobody we don't know"
        assert "certificate" in office.rows()[0].error


def test_a_wrong_password_is_a_trouble_that_can_be_mended(tmp_path: Path) -> None:
    box = Mailbox()
    server = Controller(
        box, hostname="127.0.0.1", port=free_port(), authenticator=knows, auth_required=True,
        auth_require_tls=False,
    )  # fmt: skip
    server.start()
    try:
        farm = farm_for(tmp_path, server.port, username="farm", password_secret="smtp")
        (farm.folder.secrets / "smtp").write_text("wrong\n")
        office = Office(farm, box)
        office.write()
        deliver(farm)
    finally:
        server.stop()
    assert office.states() == ["queued"]
    assert "535" in office.rows()[0].error

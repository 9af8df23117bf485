"""A farm with its own certificate authority: workers and pages speak TLS, and an invitation pins whom a worker believes."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pybots import cli
from pybots.farm import authority, invitations, local
from pybots.farm.home import open_farm
from pybots.farm.invitations import Wish
from pybots.farm.setup import write_settings
from pybots_worker import welcome
from tests.farm import live as living
from tests.farm.live import Live
from tests.farm.test_joining import Machine


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Its own worker builds and tests one commit, everything over TLS, before any test begins."""
    root = tmp_path_factory.mktemp("tls")
    made = living.make(root, projects=("sprout",), settings={"cpython.earlier": False})
    folder = made.farm.folder
    assert cli.main(["init", "--tls", "--farm", str(folder.root)]) == 0
    port = made.farm.config.web.port
    write_settings(folder.config, {"url": f"https://localhost:{port}/"})
    made.farm.ledger.close()
    made.farm = open_farm(folder.root)
    local.enrol_local(made.farm, slots=1)
    made.start()
    try:
        made.calm()
        yield made
    finally:
        made.stop()


def test_a_worker_joins_and_connects_by_the_pinned_authority(live: Live, tmp_path: Path) -> None:
    assert live.run_of(live.world.head(), "sprout").verdict == "passed"
    machine = Machine(live, tmp_path / "volunteer")
    der = authority.der(live.farm.folder)
    _, code = invitations.invite(live.farm, Wish(owner="Ada"), der)
    try:
        stranger = replace(code, pin=welcome.pin_of(b"somebody else's"))
        refused = machine.join(str(stranger))
        assert refused.returncode == 1
        assert "is not the one the invitation names" in refused.stderr
        done = machine.join(str(code))
        assert done.returncode == 0, done.stderr
        found = machine.settings
        assert found.tls and found.ca_for_web and found.farm.startswith("https:")
        assert welcome.pin_of(ssl.PEM_cert_to_DER_cert(found.ca)) == code.pin
        machine.start()
        machine.connected()
    finally:
        machine.stop()


@pytest.mark.parametrize("port", ["web", "pb"])
def test_nobody_else_is_believed_and_nothing_is_said_in_the_clear(live: Live, port: str) -> None:
    config = live.farm.config
    number = config.web.port if port == "web" else config.buildbot.pb_port
    with socket.create_connection(("127.0.0.1", number), timeout=20) as plain:
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"HTTP/1" not in plain.recv(100), "whatever comes is an alert of TLS"
    with (
        socket.create_connection(("127.0.0.1", number), timeout=20) as wire,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        ssl.create_default_context().wrap_socket(wire, server_hostname="localhost")
    context = authority.context(live.farm.folder)
    with (
        socket.create_connection(("127.0.0.1", number), timeout=20) as wire,
        context.wrap_socket(wire, server_hostname="127.0.0.1") as spoken,
    ):
        assert spoken.version() in ("TLSv1.2", "TLSv1.3")


def test_the_secrets_are_private(live: Live) -> None:
    for path in (*live.farm.folder.secrets.iterdir(), live.farm.folder.worker / "password"):
        assert path.stat().st_mode & 0o077 == 0, path.name

"""The farm's own certificate authority: one key that signs the certificate of its listeners, pinned by invitations.

Nobody else has to trust it. Browsers don't, so public pages stand behind a proxy with a certificate of the usual kind;
workers do, because the code of their invitation carries the authority's digest.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import ssl
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pybots.farm.home import Folder

AUTHORITY_KEY, AUTHORITY = "ca.key", "ca.pem"
SERVER_KEY, SERVER = "server.key", "server.pem"
AUTHORITY_YEARS: Final = 20
SERVER_DAYS: Final = 825
RENEW_DAYS: Final = 60
"""The listeners' certificate is made anew when it has fewer days left, or other names are wanted."""
YESTERDAY: Final = timedelta(days=1)
"""Certificates begin a day early: clocks of volunteers' machines are not exact."""


def certificate(folder: Folder) -> bytes:
    """The authority's certificate as PEM; empty when the farm has none."""
    try:
        return (folder.secrets / AUTHORITY).read_bytes()
    except FileNotFoundError:
        return b""


def der(folder: Folder) -> bytes | None:
    """The same as DER, which pins are made of; None without one."""
    pem = certificate(folder)
    if not pem:
        return None
    return x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)


def listener(folder: Folder) -> tuple[Path, Path]:
    """Key and certificate of the farm's listeners."""
    return folder.secrets / SERVER_KEY, folder.secrets / SERVER


def context(folder: Folder) -> ssl.SSLContext:
    """For our own visits to our own pages: whom this machine believes, and our authority."""
    made = ssl.create_default_context()
    if pem := certificate(folder):
        made.load_verify_locations(cadata=pem.decode())
    return made


def establish(folder: Folder, names: Sequence[str], now: float) -> bool:
    """Make what is missing: the authority once, the listeners' certificate when it ends soon or names have changed.

    `names` are host names and addresses. Returns whether the listeners' certificate is a new one."""
    at = datetime.fromtimestamp(now, UTC)
    if not (folder.secrets / AUTHORITY).exists():
        _make_authority(folder, at)
    names = list(dict.fromkeys([*names, "localhost", "127.0.0.1", "::1"]))
    if _still_good(folder, names, at):
        return False
    _make_server(folder, names, at)
    return True


def _make_authority(folder: Folder, at: datetime) -> None:
    key = _key(folder.secrets / AUTHORITY_KEY)
    name = _name("Pybots farm")
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    made = (
        _builder(name, name, key.public_key(), at, timedelta(days=365 * AUTHORITY_YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(folder.secrets / AUTHORITY, made.public_bytes(serialization.Encoding.PEM))


def _make_server(folder: Folder, names: Sequence[str], at: datetime) -> None:
    authority = x509.load_pem_x509_certificate(certificate(folder))
    signer = _key(folder.secrets / AUTHORITY_KEY)
    key = _key(folder.secrets / SERVER_KEY)
    made = (
        _builder(_name(names[0][:64]), authority.subject, key.public_key(), at, timedelta(days=SERVER_DAYS))
        .add_extension(x509.SubjectAlternativeName([_alternative(n) for n in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, hashes.SHA256())
    )  # fmt: skip
    _write(folder.secrets / SERVER, made.public_bytes(serialization.Encoding.PEM))


def _still_good(folder: Folder, names: Sequence[str], at: datetime) -> bool:
    try:
        found = x509.load_pem_x509_certificate((folder.secrets / SERVER).read_bytes())
    except FileNotFoundError:
        return False
    said = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    wanted = {_alternative(name) for name in names}
    return wanted == set(said) and found.not_valid_after_utc > at + timedelta(days=RENEW_DAYS)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Any, at: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - YESTERDAY)
        .not_valid_after(at + life)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=sign_certificates, crl_sign=sign_certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The private key in `path`, made when there is none."""
    if not path.exists():
        made = ec.generate_private_key(ec.SECP256R1())
        _write(
            path,
            made.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )
    found = serialization.load_pem_private_key(path.read_bytes(), password=None)
    assert isinstance(found, ec.EllipticCurvePrivateKey)
    return found


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, readable by the farm only."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=".new-", delete=False) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    try:
        Path(file.name).replace(path)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            Path(file.name).unlink()
        raise

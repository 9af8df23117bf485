"""How the network is reached from inside: this machine's own configuration, by an allow-list, and nothing else of it.

A package index, a proxy and certificates are the machine's business, not the project's: they are taken from the
kit's environment (UV_*, PIP_INDEX_URL, *_PROXY, SSL_CERT_FILE) and the configuration files of uv and pip.
"""

from __future__ import annotations

import configparser
import os
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pybots_worker.sandbox import Mount

INDEX: Final = (
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_INDEX_STRATEGY",
    "UV_NO_INDEX",
)
PLAIN: Final = (
    "UV_HTTP_TIMEOUT",
    "UV_HTTP_RETRIES",
    "UV_INSECURE_HOST",
    "UV_NATIVE_TLS",
    "UV_SYSTEM_CERTS",
    *(
        written
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
        for written in (name, name.upper())
    ),
)
BUNDLES: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
SYSTEM_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
)
CA: Final = "/opt/pybots/ca.pem"
UV_TOML: Final = "/opt/pybots/uv.toml"
USES_CA: Final = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
)


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What a run with network gets: variables and read-only mounts."""

    env: Mapping[str, str]
    mounts: tuple[Mount, ...]


def reach(environ: Mapping[str, str], home: Path, root: Path = Path("/")) -> Reach:
    """The way out. `environ` and `home` are the kit's own; `root` is for tests."""
    env = {name: environ[name] for name in (*INDEX, *PLAIN) if environ.get(name)}
    index = environ.get("PIP_INDEX_URL") or _pip_index(environ, home, root)
    if index and not env.keys() & {"UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_NO_INDEX"}:
        env["UV_DEFAULT_INDEX"] = index
    mounts = [Mount(source=path, target=str(path)) for path in _local(env)]
    if bundle := _bundle(environ, root):
        env.update(dict.fromkeys(USES_CA, CA))
        mounts.append(Mount(source=bundle, target=CA))
    if config := _uv_config(environ, home, root):
        env["UV_CONFIG_FILE"] = UV_TOML
        mounts.append(Mount(source=config, target=UV_TOML))
    return Reach(env=env, mounts=tuple(mounts))


def _bundle(environ: Mapping[str, str], root: Path) -> Path | None:
    named = [Path(environ[name]) for name in BUNDLES if environ.get(name)]
    system = [root / name.lstrip("/") for name in SYSTEM_BUNDLES]
    return next((path.resolve() for path in (*named, *system) if path.is_file()), None)


def _local(env: Mapping[str, str]) -> Iterable[Path]:
    """Folders of this machine that the index variables name: they must be seen inside under the same name."""
    words = (word for name in INDEX for word in env.get(name, "").replace(",", " ").split())
    found = {Path(_path(word)) for word in words}
    return sorted(
        path for path in found if path.is_absolute() and path.exists() and path.parent != path
    )


def _path(word: str) -> str:
    parts = urllib.parse.urlsplit(word.rpartition("=")[2])
    return urllib.parse.unquote(parts.path) if parts.scheme in ("", "file") else ""


def _uv_config(environ: Mapping[str, str], home: Path, root: Path) -> Path | None:
    named = environ.get("UV_CONFIG_FILE")
    candidates = [
        *([Path(named)] if named else []),
        home / ".config/uv/uv.toml",
        root / "etc/uv/uv.toml",
    ]
    return next((path for path in candidates if path.is_file()), None)


def _pip_index(environ: Mapping[str, str], home: Path, root: Path) -> str:
    """`index-url` of pip's configuration, for machines whose owner told pip and not uv."""
    named = environ.get("PIP_CONFIG_FILE")
    files = [
        root / "etc/pip.conf",
        home / ".pip/pip.conf",
        home / ".config/pip/pip.conf",
        *([Path(named)] if named and named != os.devnull else []),
    ]
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read(files)
    except (configparser.Error, UnicodeDecodeError):
        return ""  # pip would complain too; uv's own default is used
    return parser.get("global", "index-url", fallback="").strip()

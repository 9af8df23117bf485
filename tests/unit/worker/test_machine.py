"""What a machine says of itself, and how it reaches the network: by allow-list."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import get_args

import pytest

from pybots_worker import contract, facts, libraries, network, settings
from pybots_worker.network import CA, reach
from pybots_worker.sandbox.seccomp import filter_program
from pybots_worker.settings import SettingsError, WorkshopSettings


def test_a_platform_and_an_abi_are_slugs() -> None:
    found = facts.measure(("headers:special",))
    assert found.platform.startswith("linux-")
    assert found.cores >= 1 and found.memory_bytes > 1 << 20
    assert "headers:special" in found.provided


@pytest.mark.parametrize(
    ("release", "start"),
    [
        ({"ID": "debian", "VERSION_ID": "12"}, "debian-12-"),
        ({"ID": "arch"}, "arch-rolling-"),
        ({}, "linux-rolling-"),
        ({"ID": "My Linux", "VERSION_ID": "1/2"}, "my_linux-1_2-"),
    ],
)
def test_an_abi_tag_says_where_an_interpreter_runs(release: dict[str, str], start: str) -> None:
    assert facts.abi_tag(release).startswith(start)


@pytest.mark.parametrize(
    ("kernel", "narrow", "wide"),
    [
        ("aarch64", "armv7l", "aarch64"),
        ("armv8l", "armv7l", "armv8l"),
        ("x86_64", "i686", "x86_64"),
        ("armv7l", "armv7l", "armv7l"),
    ],
)
def test_32_bit_programs_on_a_64_bit_kernel_are_another_platform(
    monkeypatch: pytest.MonkeyPatch, kernel: str, narrow: str, wide: str
) -> None:
    """Raspberry Pi OS: what it builds runs on no arm64, and arm64's numbers of calls are not its own."""
    monkeypatch.setattr("platform.machine", lambda: kernel)
    monkeypatch.setattr("sys.maxsize", 2**31 - 1)
    assert (facts.platform_name(), facts.abi_tag({})) == (
        f"linux-{narrow}",
        f"linux-rolling-{narrow}",
    )
    assert filter_program() is None
    monkeypatch.setattr("sys.maxsize", 2**63 - 1)
    assert facts.platform_name() == f"linux-{wide}"


def test_headers_are_found_by_looking(tmp_path: Path) -> None:
    for name in ("bin/ccache", "include/ffi.h", "include/x86_64-linux-gnu/openssl/ssl.h"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert set(facts.provided(tmp_path)) == {
        "ccache", "headers:ffi", "headers:ssl", "system:libffi", "system:openssl",
    }  # fmt: skip


def test_libraries_and_servers_are_found_by_looking(tmp_path: Path) -> None:
    """A library by its header or by what pkg-config reads; a server only when all of its programs are there."""
    assert tuple(libraries.LIBRARIES) == get_args(contract.Library)
    for name in (
        "include/libxml2/libxml/xmlversion.h",
        "lib/x86_64-linux-gnu/pkgconfig/yaml-0.1.pc",
        "sbin/mariadbd",
        "lib/postgresql/15/bin/initdb",
        "lib/postgresql/15/bin/postgres",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = {name for name in facts.provided(tmp_path) if not name.startswith("headers:")}
    assert found == {"system:libxml2", "system:libyaml", "service:postgresql"}
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/mariadb-install-db").touch()
    assert "service:mariadb" not in facts.provided(tmp_path)
    (tmp_path / "bin/my_print_defaults").touch()
    assert "service:mariadb" in facts.provided(tmp_path)


def test_the_examples_hold() -> None:
    assert doctest.testmod(facts).failed == 0


def test_only_what_is_on_the_list_goes_inside(tmp_path: Path) -> None:
    env = {
        "HTTPS_PROXY": "http://p:1",
        "UV_INDEX": "https://i.example/",
        "AWS_SECRET": "s",
        "HOME": "/root",
    }
    found = reach(env, tmp_path, tmp_path)
    assert dict(found.env) == {"HTTPS_PROXY": "http://p:1", "UV_INDEX": "https://i.example/"}
    assert found.mounts == ()


def test_certificates_are_shown_under_one_name(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.crt"
    bundle.touch()
    found = reach({"SSL_CERT_FILE": str(bundle)}, tmp_path, tmp_path)
    assert [(mount.source, mount.target) for mount in found.mounts] == [(bundle, CA)]
    assert found.env["SSL_CERT_FILE"] == found.env["GIT_SSL_CAINFO"] == CA


@pytest.mark.parametrize("name", ["UV_FIND_LINKS", "UV_INDEX"])
def test_an_index_in_a_folder_is_mounted(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "wheels"
    folder.mkdir()
    found = reach({name: f"{folder.as_uri()} https://i.example/simple"}, tmp_path, tmp_path)
    assert [mount.source for mount in found.mounts] == [folder]


def test_pips_index_serves_uv_unless_uv_has_its_own(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/pip.conf").write_text("[global]\nindex-url = https://i.example/simple\n")
    assert reach({}, tmp_path, tmp_path).env["UV_DEFAULT_INDEX"] == "https://i.example/simple"
    env = {"PIP_INDEX_URL": "https://j.example/"}
    assert reach(env, tmp_path, tmp_path).env["UV_DEFAULT_INDEX"] == "https://j.example/"
    env = {"UV_INDEX_URL": "https://k.example/"}
    assert "UV_DEFAULT_INDEX" not in reach(env, tmp_path, tmp_path).env


def test_a_broken_configuration_of_pips_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/pip.conf").write_text("index-url = nowhere\n")
    assert reach({}, tmp_path, tmp_path).env == {}


def test_uvs_own_configuration_is_shown(tmp_path: Path) -> None:
    (tmp_path / ".config/uv").mkdir(parents=True)
    (tmp_path / ".config/uv/uv.toml").touch()
    assert reach({}, tmp_path, tmp_path).env["UV_CONFIG_FILE"] == network.UV_TOML


def test_settings_come_back_as_they_were_written(tmp_path: Path) -> None:
    given = WorkshopSettings(
        name="attic", local=True, slots=2, provides=("headers:x",), cache_mb=512
    )
    settings.write(tmp_path, given)
    assert settings.load(tmp_path) == given
    assert settings.load(tmp_path / "nowhere") == WorkshopSettings()


@pytest.mark.parametrize(
    "text",
    ["nmae = 'x'", "slots = 0", "name = 'UPPER CASE'", "master = 'no port'", "local = 1", "= x"],
)
def test_a_mistake_in_the_settings_names_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "worker.toml").write_text(text)
    with pytest.raises(SettingsError, match=r"worker\.toml"):
        settings.load(tmp_path)

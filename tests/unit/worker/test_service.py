"""The systemd unit: what it says, and that systemd itself understands it; a systemd that refuses leaves nothing behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pybots_worker import service


@pytest.mark.parametrize("system", [True, False])
def test_the_unit_delegates_and_stays_away_when_dismissed(tmp_path: Path, system: bool) -> None:
    text = service.unit(tmp_path / 'a "b" 100%', system=system)
    assert "Delegate=yes" in text and "RestartPreventExitStatus=4" in text
    assert sys.executable in text and '\\"b\\" 100%%"' in text
    assert ("multi-user.target" if system else "default.target") in text


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    file = tmp_path / service.NAME
    file.write_text(service.unit(tmp_path, system=True))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", str(file)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    complaints = [line for line in done.stderr.splitlines() if service.NAME in line]
    assert done.returncode == 0 and complaints == [], done.stderr


def test_a_systemd_that_refuses_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin" / "systemctl"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\necho "$@" >> "$0.log"\necho no bus >&2\n[ "$FINE" ]\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:/usr/bin:/bin")
    monkeypatch.setattr(service, "SYSTEM", tmp_path / "system")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    said: list[str] = []
    with pytest.raises(service.ServiceError, match="no bus"):
        service.install(tmp_path, said.append)
    assert not list(tmp_path.rglob(service.NAME))
    monkeypatch.setenv("FINE", "1")
    service.install(tmp_path, said.append)
    assert len(list(tmp_path.rglob(service.NAME))) == 1
    assert service.remove(said.append) and not list(tmp_path.rglob(service.NAME))
    assert not service.remove(said.append)
    words = fake.with_name("systemctl.log").read_text()
    assert f"enable --now {service.NAME}" in words and f"disable --now {service.NAME}" in words

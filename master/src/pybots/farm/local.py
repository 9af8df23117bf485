"""The farm's own worker on this machine: enrolled without an invitation, trusted with local files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import tomlkit

from pybots.core.model import Worker
from pybots.farm import authority, workers
from pybots.farm.home import Farm

NAME: Final = workers.LOCAL
DOCTOR_SECONDS: Final = 60


class LocalError(Exception):
    """This machine cannot be a worker; the text lists what is missing, each with its mend."""


def examine(root: Path) -> dict[str, Any]:
    """What the worker kit says of this machine and of a worker in `root` (`pybots-worker doctor --json`)."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pybots_worker.cli", "doctor", "--json", "--root", str(root)],
        capture_output=True, text=True, timeout=DOCTOR_SECONDS, check=False,
    )  # fmt: skip
    try:
        found = json.loads(done.stdout)
    except ValueError:
        raise LocalError(
            f"the worker kit does not run here: {done.stderr.strip()[-500:]}"
        ) from None
    assert isinstance(found, dict)
    return found


def enrol_local(farm: Farm, *, slots: int | None = None) -> Worker:
    """Put this machine on the roster and write its worker.toml. Raises LocalError when it can't run jobs."""
    found = examine(farm.folder.worker)
    errors = [item for item in found["findings"] if item["state"] == "error"]
    if errors:
        lines = "; ".join(f"{item['name']}: {item['what']} ({item['mend']})" for item in errors)
        raise LocalError(f"this machine cannot run jobs yet: {lines}")
    facts = found["facts"]
    # Two cores a slot: builds use both, and a test suite beside another one is slower but not twice as slow.
    count = slots or max(1, facts["cores"] // 2)
    worker = Worker(
        name=NAME,
        platform=facts["platform"],
        abi=facts["abi"],
        slots=count,
        owner="the farm",
        email=farm.config.mail.admin,
        facts=frozenset(facts["provided"]),
    )
    credential = workers.enrol(farm, worker)
    folder = farm.folder.worker
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_text(credential + "\n")
    settings = tomlkit.document()
    settings.update(
        {
            "name": NAME,
            "master": f"{near(farm.config.buildbot.pb_listen)}:{farm.config.buildbot.pb_port}",
            "password_file": "password",
            "slots": count,
            "local": True,
            **_trust(farm),
        }
    )
    (folder / "worker.toml").write_text(tomlkit.dumps(settings))
    return worker


def near(listen: str) -> str:
    """Where this machine reaches what listens there."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen, listen)
    return f"[{host}]" if ":" in host else host


def _trust(farm: Farm) -> dict[str, Any]:
    if not farm.config.tls.on:
        return {}
    pem = authority.certificate(farm.folder).decode()
    return {"farm": farm.config.url, "tls": True, "ca": pem, "ca_for_web": farm.config.web.tls}

"""The container file's commands are commands of the kit, and `doctor` asks for the rights that it names."""

from __future__ import annotations

import errno
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from pybots_worker import cli, joining, settings
from pybots_worker.bot import DISMISSED
from pybots_worker.sandbox.probing import CONTAINER_RIGHTS, diagnose

TEXT = (Path(__file__).parents[3] / "slaves" / "Containerfile").read_text()
COMMANDS: list[str] = re.findall(r"^#   (podman .*)$", TEXT, re.MULTILINE)


def of_the_kit() -> list[list[str]]:
    """What the kit is given by each command that runs it, and by the image itself."""
    given = [shlex.split(one, comments=True) for line in COMMANDS for one in line.split("&&")]
    runs = [
        words[max(n for n, word in enumerate(words) if word.endswith("pybots-worker")) + 1 :]
        for words in given
        if words[1] in ("run", "exec")
    ]
    image = re.findall(r"^CMD (.*)$", TEXT, re.MULTILINE)
    return [words or json.loads(image[0]) for words in runs]


def test_every_command_is_one_of_the_kits() -> None:
    found = of_the_kit()
    assert [words[0] for words in found] == ["join", "run", "pause", "leave"]
    volume = re.findall(r"^VOLUME (.*)$", TEXT, re.MULTILINE)
    for words in found:
        assert [str(cli.parser().parse_args(words).root)] == volume


def test_a_dismissed_worker_is_not_started_again() -> None:
    """`--restart on-failure` looks at tini's exit status, which makes 0 of ours."""
    assert "--restart on-failure" in TEXT
    (entry,) = re.findall(r"^ENTRYPOINT (.*)$", TEXT, re.MULTILINE)
    words = json.loads(entry)
    assert words[:4] == ["tini", "-e", str(DISMISSED), "--"]


@pytest.mark.parametrize(
    "said",
    [
        "bwrap: Creating new namespace failed: Operation not permitted",
        "bwrap: loopback: Failed RTM_NEWADDR: No child processes",
    ],
)
def test_doctor_asks_for_the_rights_that_the_file_gives(said: str) -> None:
    assert f"--cap-add {CONTAINER_RIGHTS}'" in TEXT
    assert f"--cap-add {CONTAINER_RIGHTS}," in diagnose(said, lambda _path: "").mend


def test_leaving_a_containers_volume_leaves_it_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder itself is mounted there: nobody inside can remove it."""
    root = tmp_path / "worker"
    root.mkdir()
    settings.change(root, {"name": "box"})
    (root / "jobs").mkdir()

    def busy(self: Path, *_: Any) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy", str(self))

    said: list[object] = []
    monkeypatch.setattr(Path, "rmdir", busy)
    joining.leave(root, said.append)
    assert (list(root.iterdir()), said) == ([], [])

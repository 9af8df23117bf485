"""How a run ends, what is said about it, and that nothing of it survives."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from test_sandbox_driver import Box, alive, box, drive, facts  # noqa: F401  (a fixture)


def wait_until(true_now: object) -> bool:
    end = time.monotonic() + 3
    while time.monotonic() < end:
        if true_now():  # type: ignore[operator]
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("code", [0, 1, 77, 255])
def test_an_exit_status_is_kept(box: Box, code: int) -> None:  # noqa: F811
    done = box.sh(f"exit {code}")
    assert (done["ended"], done["exit_code"], done["signal"]) == ("exit", code, None)
    assert done["detail"] == f"exit status {code}"


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL"])
def test_a_death_by_signal_is_named(box: Box, name: str) -> None:  # noqa: F811
    done = box.sh(f"kill -{name[3:]} $$")
    assert (done["ended"], done["exit_code"], done["signal"]) == (
        "signal",
        None,
        signal.Signals[name],
    )
    assert done["detail"] == f"killed by {name}"


def test_a_missing_command_is_the_jobs_doing(box: Box) -> None:  # noqa: F811
    done = box.run(["no-such-command"])
    assert (done["ended"], done["exit_code"]) == ("exit", 127)
    assert "no-such-command" in done["stderr"]


@pytest.mark.parametrize("fault", ["cwd", "mount"])
def test_a_sandbox_that_cannot_be_set_up_says_why(box: Box, fault: str) -> None:  # noqa: F811
    """That is the farm's fault and never a project's."""
    if fault == "mount":
        box.mounts.append((str(box.base / "absent"), "/absent", False))
    done = box.run(["true"], cwd="/absent" if fault == "cwd" else "/work")
    assert done["ended"] == "sandbox_error", done
    assert "absent" in done["detail"]


def test_what_was_used_is_told(box: Box) -> None:  # noqa: F811
    code = "import time\nheld = bytearray(b'x') * (50 << 20)\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    done = box.python(code)
    assert 0.25 < done["cpu_seconds"] < 1
    assert 50 << 20 < done["peak_memory_bytes"] < 90 << 20


def test_a_daemon_does_not_outlive_its_job(box: Box) -> None:  # noqa: F811
    """Though it left the session and holds the job's output open."""
    done = box.sh("setsid sh -c 'trap : TERM HUP; sleep 7117' & sleep 0.1; echo done")
    assert (done["ended"], done["stdout"]) == ("exit", "done\n")
    assert done["wall_seconds"] < 1
    assert not alive("7117")


def test_a_killed_worker_takes_its_job_along(box: Box) -> None:  # noqa: F811
    """kill -9 of the process that runs it; its control groups go at the next start."""
    process = box.start(["sh", "-c", "setsid sleep 7227 & echo up; sleep 7227"])
    assert process.stderr and process.stderr.read(2) == "up"
    assert wait_until(lambda: len(alive("7227")) >= 2)
    process.kill()
    process.wait()
    process.stderr.close()
    assert wait_until(lambda: not alive("7227"))
    groups = facts(box.variant)["groups"]
    drive(box.root, {"rung": box.rung})
    left = [p for group in groups for p in Path(group).glob(f"pybots-job-{process.pid}-*")]
    assert left == []


def test_an_error_of_the_sinks_ends_the_job(box: Box) -> None:  # noqa: F811
    """It passes through to the caller, who then has nothing to clean up."""
    process = box.start(["sh", "-c", "echo up; sleep 7447"], broken_sink=True)
    assert process.stderr and "the sink broke" in process.stderr.read()
    process.stderr.close()
    assert process.wait() == 1
    assert not alive("7447")


def test_without_a_sandbox_the_caps_still_hold(box: Box) -> None:  # noqa: F811
    """For the owner who said so: paths are translated, the user is not root, the tree is ended."""
    os.chmod(box.base, 0o755)
    code = "id -u; pwd; setsid sleep 7337 & sleep 0.1; cat /opt/a/shown/file; exit 3"
    done = box.sh(code, unboxed=True)
    assert done["exit_code"] == 3, done
    assert done["stdout"].splitlines()[1:] == [str(box.work), "shown"]
    assert done["stdout"].splitlines()[0] != "0"
    assert "no sandbox" in done["summary"]
    assert not alive("7337")
    assert box.run(["sleep", "9"], wall_seconds=0.2, unboxed=True)["ended"] == "wall_timeout"

"""Every cap, tried by something that does not care: it is hit, named, and nothing is left behind."""

from __future__ import annotations

from test_sandbox_driver import Box, alive, box  # noqa: F401  (a fixture)

FORK_BOMB = """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
MANY_FILES = "i=0; while :; do i=$((i+1)); head -c 1M /dev/zero >/work/$i || exit 3; done"
ONE_FILE = "head -c 500M /dev/zero >/work/one"
NAMELESS = """
import os, time
fd = os.open("/work/gone", os.O_CREAT | os.O_RDWR)
os.unlink("/work/gone")
for _ in range(40):
    os.write(fd, bytes(1 << 20))
time.sleep(5)
"""


def test_a_fork_bomb_is_contained(box: Box) -> None:  # noqa: F811
    """It ends as "processes", and its last member is gone."""
    done = box.run(["/usr/bin/python3", "-I", "-S", "-c", FORK_BOMB, "forkbomb"], processes=40)
    assert done["ended"] == "processes", done
    assert "40 processes" in done["detail"]
    assert "stopped: wanted more than 40 processes" in done["header"]
    assert not alive("forkbomb")


def test_many_threads_are_processes_too(box: Box) -> None:  # noqa: F811
    """As the kernel counts them."""
    code = (
        "import threading, time\n"
        "for _ in range(45): threading.Thread(target=time.sleep, args=(3,), daemon=True).start()\n"
        "time.sleep(3)"
    )
    assert box.python(code, processes=30)["ended"] == "processes"


def test_a_memory_bomb_is_named_memory(box: Box) -> None:  # noqa: F811
    """However slowly or quickly it grows."""
    code = "import time\nheld = []\nwhile True: held.append(bytearray(b'x') * (4 << 20)); time.sleep(0.002)"
    done = box.python(code, memory_bytes=100 << 20)
    assert done["ended"] == "memory", done
    assert "100 MiB of memory" in done["detail"]


def test_memory_is_counted_over_the_whole_tree(box: Box) -> None:  # noqa: F811
    """Five children that each hold a quarter of the cap."""
    code = (
        "import os, time\n"
        "for _ in range(5):\n"
        "    if not os.fork(): held = bytearray(b'x') * (25 << 20); time.sleep(5); os._exit(0)\n"
        "time.sleep(5)"
    )
    assert box.python(code, memory_bytes=100 << 20)["ended"] == "memory"


def test_files_in_the_private_folders_are_bounded(box: Box) -> None:  # noqa: F811
    """They are memory: either the folder is full or the memory is used up, but it ends."""
    done = box.sh(
        "for d in /tmp /dev/shm /home/pybots; do head -c 300M /dev/zero >$d/x; done",
        memory_bytes=100 << 20,
    )
    assert done["ended"] == "memory" or "No space left" in done["stderr"]


def test_memory_shared_by_forks_counts_once(box: Box) -> None:  # noqa: F811
    """A test runner with many forked workers is no memory bomb."""
    code = (
        "import os, time\n"
        "held = bytearray(b'x') * (40 << 20)\n"
        "for _ in range(5):\n"
        "    if not os.fork(): time.sleep(0.5); os._exit(0)\n"
        "for _ in range(5): os.wait()"
    )
    done = box.python(code, memory_bytes=120 << 20)
    assert (done["ended"], done["exit_code"]) == ("exit", 0), done


def test_spinning_is_named_cpu_timeout(box: Box) -> None:  # noqa: F811
    """Though the time is spread over several processes."""
    done = box.sh("for i in 1 2 3; do sh -c 'while :; do :; done' & done; wait", cpu_seconds=0.6)
    assert done["ended"] == "cpu_timeout", done
    assert done["cpu_seconds"] > 0.5
    assert done["wall_seconds"] < 2.5


def test_sleeping_is_named_wall_timeout(box: Box) -> None:  # noqa: F811
    done = box.run(["sleep", "1234"], wall_seconds=0.3)
    assert done["ended"] == "wall_timeout"
    assert 0.3 <= done["wall_seconds"] < 1
    assert done["cpu_seconds"] < 0.2


def test_many_files_are_named_disk(box: Box) -> None:  # noqa: F811
    done = box.sh(MANY_FILES, disk_bytes=30 << 20)
    assert done["ended"] == "disk", done
    assert "30 MiB of disk" in done["detail"]


def test_one_large_file_is_named_disk(box: Box) -> None:  # noqa: F811
    """Even when it is over before the watchdog looks; the kernel stops it a little beyond the cap."""
    done = box.sh(ONE_FILE, disk_bytes=20 << 20)
    assert done["ended"] == "disk", done
    if (box.work / "one").exists():
        assert (box.work / "one").stat().st_size <= 36 << 20


def test_a_deleted_file_still_fills_the_disk(box: Box) -> None:  # noqa: F811
    done = box.python(NAMELESS, disk_bytes=30 << 20, wall_seconds=2.5)
    assert done["ended"] == "disk", done


def test_an_endless_log_is_cut_and_named(box: Box) -> None:  # noqa: F811
    """Exactly the allowed bytes are kept."""
    done = box.run(["yes"], log_bytes=100_000)
    assert done["ended"] == "log"
    assert done["counts"]["stdout"] == 100_000


def test_much_output_is_carried(box: Box) -> None:  # noqa: F811
    """256 MiB, every byte, without holding them."""
    done = box.sh("head -c 256M /dev/zero; head -c 1M /dev/zero >&2", log_bytes=1 << 30)
    assert done["counts"] == {"stdout": 256 << 20, "stderr": 1 << 20, "header": 0}
    assert done["ended"] == "exit"


def test_a_run_can_be_cancelled(box: Box) -> None:  # noqa: F811
    done = box.run(["sleep", "4321"], cancel=0.2)
    assert done["ended"] == "cancelled"
    assert not alive("4321")

"""Projects that behave badly, for the hard tests, as data. Each is bounded, in case nothing else bounds it."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent

from pybots.miniature.projects import Definition


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How far the bad ones go when nobody stops them."""

    hang_seconds: float = 3600.0
    noise_bytes: int = 1 << 30
    forks: int = 5000
    memory_bytes: int = 16 << 30
    flaky_rate: float = 0.05


_DICE = """\
import pathlib
import random
import unittest

ROLLED = pathlib.Path(__file__).with_name("rolled")
UNLUCKY = None if ROLLED.exists() else random.SystemRandom().randrange(20)
ROLLED.touch()


class DiceTest(unittest.TestCase):
    pass


def _side(number):
    def test(self):
        self.assertNotEqual(number, UNLUCKY)

    return test


for number in range(20):
    setattr(DiceTest, f"test_{number:02}", _side(number))
"""


def _suite(
    test: str, *, before: str = "", first: str = "pass", last: str = "pass"
) -> dict[str, str]:
    """A test module whose middle one of three tests is bad. `first` and `last` are what the others do."""
    head = f"import unittest\n{dedent(before)}\n\nclass BadTest(unittest.TestCase):\n"
    start = f"    def test_1_before(self):\n        {first}\n\n"
    body = "".join(
        f"        {line}\n" if line else "\n" for line in dedent(test).strip().splitlines()
    )
    end = f"\n    def test_3_after(self):\n        {last}\n"
    return {"tests/test_bad.py": f"{head}{start}    def test_2_bad(self):\n{body}{end}"}


def hostile(bounds: Bounds) -> tuple[Definition, ...]:
    """The bad projects, with these bounds written into their tests."""
    return (
        Definition(
            name="bad-hang",
            about="A test that never ends",
            files=_suite(f"import time\ntime.sleep({bounds.hang_seconds})"),
        ),
        Definition(
            name="bad-noise",
            about="A test that prints too much",
            files=_suite(f"""
                line = "All work and no play makes a dull log. " * 25 + "\\n"
                for _ in range({bounds.noise_bytes} // len(line)):
                    print(line, end="")
            """),
        ),
        Definition(
            name="bad-forks",
            about="A test that forks without end",
            files=_suite(f"""
                import os, time
                for _ in range({bounds.forks}):
                    if os.fork() == 0:
                        time.sleep({bounds.hang_seconds})
                        os._exit(0)
            """),
        ),
        Definition(
            name="bad-memory",
            about="A test that eats all memory",
            files=_suite(f"""
                eaten = []
                while 16 * len(eaten) << 20 < {bounds.memory_bytes}:
                    eaten.append(b"x" * (16 << 20))
            """),
        ),
        Definition(
            name="bad-segfault",
            about="A test that crashes the interpreter in the middle of the suite",
            files=_suite("import ctypes\nctypes.string_at(0)"),
        ),
        Definition(
            name="bad-kill",
            about="A test that is killed by a signal",
            files=_suite("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"),
        ),
        Definition(
            name="bad-exit",
            about="A test that ends the process with status 0, so that the rest is never run",
            files=_suite("import os\nos._exit(0)"),
        ),
        Definition(
            name="bad-empty",
            about="No tests at all; some runners call that a success",
            files={"tests/test_bad.py": "# Nothing here.\n"},
        ),
        Definition(
            name="bad-skipped",
            about="Every test is skipped",
            files=_suite("self.fail()", before='raise unittest.SkipTest("not today")'),
        ),
        Definition(
            name="bad-names",
            about="Test names and messages made to break pages, mails and terminals",
            files=_suite("""
                for name in ("<script>alert(1)</script>", "a\\x1b[31m\\x00b", "Subject: x\\r\\nBcc: y", "\\u202e" + "n" * 9000):
                    with self.subTest(name):
                        self.assertEqual(name, "")
            """),
        ),
        Definition(
            name="bad-sdist",
            about="A release that cannot be built",
            backend='\nraise RuntimeError("no such header: moon.h")\n',
            files=_suite("pass"),
        ),
        Definition(
            name="bad-archive",
            about="A release whose archive is cut off",
            files=_suite("pass"),
            truncated=True,
        ),
        Definition(
            name="bad-flaky",
            about="A test that fails at random, at a known rate",
            files=_suite(f"""
                import random
                self.assertGreaterEqual(random.SystemRandom().random(), {bounds.flaky_rate})
            """),
        ),
        Definition(
            name="bad-dice",
            about="Twenty tests; each fails in one of twenty runs, at random, and passes when it is tried again",
            files={"tests/test_bad.py": _DICE},
        ),
        Definition(
            name="bad-order",
            about="A test that fails only when the test before it has run: alone it passes",
            files=_suite(
                'self.assertFalse(getattr(unittest, "polluted", False))',
                first="unittest.polluted = True",
            ),
        ),
        Definition(
            name="bad-first-try",
            about="A test that fails when it is run for the first time in a folder, and passes ever after",
            files=_suite("""
                import pathlib
                counter = pathlib.Path(__file__).with_name("tried")
                tried = counter.exists()
                counter.touch()
                self.assertTrue(tried)
            """),
        ),
        Definition(
            name="bad-second-try",
            about="A test that fails at first and hangs when it is tried again, and one after it that fails too",
            files=_suite(
                f"""
                import pathlib
                import time
                counter = pathlib.Path(__file__).with_name("tried")
                if counter.exists():  # the hanging is the very thing to be shown
                    time.sleep({bounds.hang_seconds})
                counter.touch()
                self.fail("at first")
                """,
                last='self.fail("always")',
            ),
        ),
    )

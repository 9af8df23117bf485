"""A real Chromium, and one real farm over the miniature world for the whole tier."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.browser import axe
from tests.browser.tab import Tab
from tests.farm import live as living
from tests.farm.live import Live

from pybots import cli_up
from pybots.farm import cycle, news
from pybots.farm.home import Farm
from pybots.farm.views.frame import MASTER_SILENT_SECONDS
from pybots.ledger import schema
from pybots.ledger.engine import set_note
from pybots.supervisor import spawn

CHROMIUM = os.environ.get("PYBOTS_CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PROJECTS = ("sprout", "anchor", "husk")
STOP_SECONDS = 20
SLOW = """    import time

    for number in range(10):
        print("mixing colour", number, flush=True)
        time.sleep(0.3)
"""


def missing(reason: str) -> None:
    """A named skip on somebody's machine, a failure in continuous integration."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if not Path(CHROMIUM).exists():
        missing(f"no Chromium at {CHROMIUM}: install it, or name one in PYBOTS_CHROMIUM")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        missing("playwright is not installed")
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def checker() -> str:
    """axe-core."""
    try:
        return axe.fetch()
    except axe.NoAxe as reason:
        missing(str(reason))
        raise


@dataclass
class Yard:
    """A farm whose processes are started and killed one by one: nobody starts a killed one again."""

    live: Live
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    slow_commit: str = ""
    unbuilt: str = ""
    """The commit that does not compile, once there is one."""

    @property
    def farm(self) -> Farm:
        return self.live.farm

    @property
    def url(self) -> str:
        return self.farm.config.url.rstrip("/")

    def start(self, *names: str) -> None:
        for program in cli_up.programs(self.farm):
            if program.name in names:
                self.processes[program.name] = spawn(program)

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @contextmanager
    def waiting_worker(self) -> Iterator[None]:
        """Inside, the worker takes jobs and does not begin with them."""
        process = self.processes["worker"]
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def break_slowly(self) -> str:
        """A commit that breaks anchor, and makes one of its tests talk for some seconds. Once; returns its sha."""
        if not self.slow_commit:
            path = self.live.world.cpython / "Lib/colorsys.py"
            head, _, rest = path.read_text().partition("def rgb_to_yiq")
            text = head.replace(', "rgb_to_yiq"', "") + rest.partition("\n\n\n")[2]
            inner = "    sixth = int(h * 6.0)\n"
            assert text.count(inner) == 1
            files = {"Lib/colorsys.py": text.replace(inner, SLOW + inner)}
            self.slow_commit = self.live.world.commit_files(files, "gh-140005: Mix colours by hand")
            news.wake(self.farm, by="test")
        return self.slow_commit

    def broken(self) -> str:
        """That commit, with all its runs and mails done, and looked into."""
        sha = self.break_slowly()
        self.live.verdict(sha, "anchor")
        self.live.calm()
        self.live.wait(self._looked_into, "what broke is looked into")
        return sha

    def _looked_into(self) -> bool:
        """Nothing is sought, and no probe runs on after its answer was no longer needed."""
        going = self.live.rows(schema.investigations, schema.investigations.c.state == "going")
        return not going and not self.live.rows(
            schema.runs, schema.runs.c.state.in_(cycle.UNDER_WAY)
        )

    def run(self, sha: str, project: str = "") -> int:
        """The number of a finished run."""
        return int(self.live.verdict(sha, project).id)

    def last_breakage(self) -> int:
        return max(int(row.id) for row in self.live.rows(schema.breakages))

    def kill_master(self) -> None:
        """kill -9, and its silence made long by turning back what it last said, instead of waiting."""
        process = self.processes["master"]
        process.kill()
        process.wait()
        with self.farm.ledger.write() as connection:
            set_note(connection, news.MASTER, {}, self.farm.clock() - MASTER_SILENT_SECONDS - 60)


@pytest.fixture(scope="session")
def new_yard(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """The farm as its first reader meets it: the pages answer, the master has not begun."""
    settings = {"cpython.earlier": False, "investigator.probes_per_day": 40}
    made = Yard(living.make(tmp_path_factory.mktemp("farm"), projects=PROJECTS, settings=settings))
    made.start("web")
    try:
        assert cli_up.answers(made.farm, 20), made.live.last_words()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def yard(new_yard: Yard) -> Yard:
    """The farm after its first cycle: everything green."""
    new_yard.start("master", "worker")
    new_yard.live.calm()
    return new_yard


Opener = Callable[..., Tab]


@pytest.fixture
def open_tab(browser: Any) -> Iterator[Opener]:
    """Opens tabs (`open_tab(url, width=360, …)`, further arguments as a browser context takes them).

    At the end of the test none of them may have had anything to complain about."""
    tabs: list[Tab] = []

    def make(base: str, *, width: int = 1280, **context: Any) -> Tab:
        opened = browser.new_context(viewport={"width": width, "height": 800}, **context)
        tabs.append(Tab(page=opened.new_page(), base=base))
        return tabs[-1]

    yield make
    for tab in tabs:
        tab.page.context.close()
    for tab in tabs:
        assert tab.complaints == []

"""The real thing: CPython's source built twice by the farm, three real projects, a mail over SMTP, the page in Chromium."""

from __future__ import annotations

import os
import re
import tarfile
import time
from pathlib import Path
from typing import Any

import zstandard
from aiosmtpd.controller import Controller
from playwright.sync_api import sync_playwright

from pybots.farm import cycle
from pybots.ledger import schema
from tests.cpython.conftest import PROJECTS, History, Mailbox
from tests.farm.live import Live

CHROMIUM = os.environ.get("PYBOTS_CHROMIUM") or "/usr/bin/chromium"


def lanes(real: Live) -> dict[str, Any]:
    return {lane["project"]: lane for lane in cycle.summary(real.farm)["lanes"]}


def test_both_interpreters_are_built_and_published(real: Live, cpython: History) -> None:
    built = real.rows(schema.interpreters)
    assert [(row.state, row.flavour) for row in built] == [("published", "release")] * 2
    for row in built:
        assert real.farm.store.has(row.blob)
        assert "3.11.2" in row.python


def test_a_lean_install_lacks_only_pip_and_byte_code_that_no_run_reads(real: Live) -> None:
    plain, lean = sorted(real.rows(schema.interpreters), key=lambda row: row.finished)
    assert (plain.plain, lean.plain) == (True, False)
    left_out = files(real, plain.blob) ^ files(real, lean.blob)
    assert any(name.endswith(".pyc") for name in left_out)
    assert not [
        name
        for name in left_out
        if "/site-packages/" not in name
        and not name.startswith("bin/pip")
        and not re.search(r"\.opt-[12]\.pyc$", name)
        and not re.search(r"/(tests?|idle_test|lib2to3/tests|config-.*)/.*\.pyc$", name)
    ]
    assert "lib/python3.11/json/__pycache__/decoder.cpython-311.pyc" in files(real, lean.blob)


def files(real: Live, blob: str) -> set[str]:
    """Names of the files of a published interpreter, without its folder."""
    with (
        real.farm.store.open(blob) as file,
        zstandard.open(file, "rb") as plain,
        tarfile.open(fileobj=plain, mode="r|") as tar,
    ):
        return {member.name.removeprefix("./") for member in tar if not member.isdir()}


def test_the_projects_ran_on_both_commits_for_real(real: Live, cpython: History) -> None:
    for project in PROJECTS:
        for sha in (cpython.good, cpython.bad):
            run = real.run_of(sha, project)
            assert run.counts["passed"] > 20, f"{project} at {sha[:12]}: {run.summary} {run.counts}"


def test_the_commit_that_broke_a_project_is_a_new_failure(real: Live, cpython: History) -> None:
    found = lanes(real)
    assert found["itsdangerous"]["verdict"] == "new_failure", found["itsdangerous"]
    assert found["idna"]["verdict"] == "passed", found["idna"]
    assert found["markupsafe"]["verdict"] == "passed", found["markupsafe"]
    assert cycle.exit_status(cycle.summary(real.farm), {}) == cycle.FAILED


def test_the_c_extension_was_compiled_on_the_interpreter_under_test(
    real: Live, cpython: History
) -> None:
    page = real.get(f"/run/{real.run_of(cpython.bad, 'markupsafe').id}")
    assert "markupsafe._speedups" in page


def test_the_second_build_is_warm(real: Live) -> None:
    """Not a timed assertion: only that the caches were used at all; the ratio is a benchmark's matter."""
    runs = real.rows(
        schema.runs, schema.runs.c.kind == "interpreter", schema.runs.c.state == "done"
    )
    first, second = sorted(runs, key=lambda run: run.started)
    assert second.phase_seconds["compile"] < first.phase_seconds["compile"]


def test_one_mail_came_over_smtp_and_says_what_to_do(
    real: Live, cpython: History, smtp: tuple[Controller, Mailbox]
) -> None:
    deadline = time.monotonic() + 60
    while not public(smtp[1]) and time.monotonic() < deadline:
        time.sleep(0.2)  # the postman is another process
    (letter,) = public(smtp[1])
    text = letter.get_payload(decode=True).decode()  # type: ignore[attr-defined] # email.message.Message
    assert "itsdangerous" in letter["Subject"].lower()  # type: ignore[index]
    assert "msg" in text
    assert cpython.bad[:12] in text
    assert "./pybots try itsdangerous" in text


def public(box: Mailbox) -> list[Any]:
    """What the list got."""
    return [letter for letter in box.letters if letter["List-Id"]]  # type: ignore[index] # email.message.Message


def test_the_page_is_read_in_a_browser(real: Live, cpython: History, tmp_path: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(real.farm.config.url)
        assert cpython.bad[:10] in page.content()
        page.screenshot(path=tmp_path / "console.png", full_page=True)
        page.goto(f"{real.farm.config.url}commit/{cpython.bad}")
        assert "Rename the msg parameter" in page.inner_text("body")
        browser.close()
    assert not errors
    keep = os.environ.get("PYBOTS_KEEP_PICTURES")
    if keep:
        (tmp_path / "console.png").rename(Path(keep) / "real-console.png")

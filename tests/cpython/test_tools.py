"""tox and nox on real CPython: whatever Python their files name, the tests run on the interpreter under test."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pybots.ledger import schema
from pybots_worker import contract
from pybots_worker.contract import PREFIX, SdistSource
from tests.farm.live import Live
from tests.hard.kit_world import LIMITS, Kit, blob

PYPROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "owl"
version = "1.0"
"""
TOX = """\
[tox]
envlist = py39,py312-fast

[testenv]
deps = pytest
base_python = python3.9
commands = pytest {posargs}
"""
NOX = """\
import nox


@nox.session(python="3.9")
def tests(session):
    session.install("pytest", ".")
    session.run("pytest", *session.posargs)
"""
TESTS = f"""\
import sys
import owl


def test_it_is_the_interpreter_under_test():
    assert sys.base_prefix == "{PREFIX}"
    assert sys.prefix.startswith("/pybots/tool/"), "in the tool's own environment"
    assert owl.__file__.startswith(sys.prefix)


def test_arguments_come_through(request):
    assert request.config.option.verbose == 1
"""


@pytest.fixture(scope="module")
def owl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist of a project whose files name Pythons that are not there."""
    path = tmp_path_factory.mktemp("owl") / "owl-1.0.tar.gz"
    files = {
        "pyproject.toml": PYPROJECT,
        "tox.ini": TOX,
        "noxfile.py": NOX,
        "tests/test_owl.py": TESTS,
        "src/owl/__init__.py": "",
    }
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"owl-1.0/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


@pytest.mark.parametrize(
    ("runner", "args"), [("tox", ("py312-fast", "-v")), ("nox", ("tests-3.9", "-v"))]
)
def test_they_are_forced_upon_the_interpreter_under_test(
    real: Live, owl: Path, tmp_path: Path, runner: Any, args: tuple[str, ...]
) -> None:
    python = real.farm.store.path(real.rows(schema.interpreters)[0].blob)
    check(python, owl, tmp_path, runner, args)


def check(python: Path, owl: Path, folder: Path, runner: Any, args: tuple[str, ...]) -> None:
    kit = Kit(folder)
    source = SdistSource(name=owl.name, version="1.0", blob=blob(owl))
    job = kit.project_job(
        python, source, contract.Test(runner=runner, args=args), network="install"
    )
    patient = msgspec.structs.replace(LIMITS, wall_seconds=300)
    report = kit.run(msgspec.structs.replace(job, limits=dict.fromkeys(job.limits, patient)))
    assert {test.id.rpartition("::")[2]: test.outcome for test in report.tests} == {
        "test_it_is_the_interpreter_under_test": "passed", "test_arguments_come_through": "passed",
    }, kit.log.text  # fmt: skip
    assert report.phases[-1].ok, kit.log.text

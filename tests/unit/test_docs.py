"""The reference is complete: every setting and every project key is documented, with its default, and nothing else is.

The tables stand in README.md (farm.toml) and projects/README.md (project files) between
`<!-- reference: NAME -->` and `<!-- end -->`; the first column has the key, the second its default.
"""

from __future__ import annotations

import argparse
import re
import typing
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from pybots.cli import parser
from pybots.config.closed import _model_in
from pybots.config.errors import shown
from pybots.config.farm import FarmConfig
from pybots.config.meanings import MEANINGS
from pybots.config.projects import ProjectFile
from pybots_worker.settings import WorkshopSettings

TOP = Path(__file__).resolve().parents[2]
BY_NAME = {"flavour": "<name>", "limits": "<phase>", "env": "<NAME>"}
PLACES = [
    ("farm.toml", TOP / "README.md", FarmConfig),
    ("projects/*.toml", TOP / "projects" / "README.md", ProjectFile),
]


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(dotted key, default as it is written in TOML; `required`, or `–` for none)."""
    for name, info in model.model_fields.items():
        key = prefix + (info.alias or name)
        inner = _model_in(info.annotation)
        if typing.get_origin(info.annotation) is dict:
            key += "." + BY_NAME[info.alias or name]
            inner = _model_in(typing.get_args(info.annotation)[1])
        if inner is not None:
            yield from keys(inner, key + ".")
        else:
            yield key, default(info)


def default(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    return "–" if value is None or value == {} else f"`{shown(value)}`"


def documented(name: str, path: Path) -> dict[str, str]:
    text = path.read_text(encoding="utf-8")
    found = re.search(rf"<!-- reference: {re.escape(name)} -->(.*?)<!-- end -->", text, re.DOTALL)
    assert found, f"{path} has no section between <!-- reference: {name} --> and <!-- end -->"
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]*) \| .+ \|$", found[1], re.MULTILINE)
    return {key: shown_default.strip() for key, shown_default in rows}


@pytest.mark.parametrize(("name", "path", "model"), PLACES, ids=["farm.toml", "project"])
def test_every_key_is_documented_with_its_default(
    name: str, path: Path, model: type[BaseModel]
) -> None:
    assert documented(name, path) == dict(keys(model))


def test_editors_show_the_words_of_the_reference() -> None:
    """`pybots project schema` describes each key as the table does. To accept new words, write them in both."""
    text = (TOP / "projects" / "README.md").read_text(encoding="utf-8")
    table = text.partition("<!-- reference: projects/*.toml -->")[2].partition("<!-- end -->")[0]
    rows = re.findall(r"^\| `([^`]+)` \| [^|]* \| (.+) \|$", table, re.MULTILINE)
    assert dict(rows) == dict(MEANINGS)


def test_every_key_of_a_worker_is_documented_with_its_default() -> None:
    text = (TOP / "slaves" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_]+)` \| `([^`]*)` \| .+ \|$", text, re.MULTILINE)
    defaults = msgspec.to_builtins(WorkshopSettings())
    wanted = {key: msgspec.json.encode(value).decode() for key, value in defaults.items()}
    assert dict(rows) == wanted


def commands() -> list[str]:
    """Every command and sub-command of `pybots`."""
    names: list[str] = []
    for action in parser()._subparsers._group_actions:  # type: ignore[union-attr] # argparse has no other way in
        for name, made in action.choices.items():  # type: ignore[union-attr]
            below = [a for a in made._actions if isinstance(a, argparse._SubParsersAction)]
            names += [f"{name} {sub}" for a in below for sub in a.choices] or [name]
    return names


@pytest.mark.parametrize("name", commands())
def test_every_command_is_in_the_reference(name: str) -> None:
    text = (TOP / "README.md").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("Commands: "))
    assert re.search(rf"[ `|]{re.escape(name)}[ `]", line), (
        f"`pybots {name}` is not in the README's reference"
    )

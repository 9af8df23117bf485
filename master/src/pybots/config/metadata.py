"""What a source tree says of itself: its name, its addresses, and the sets of requirements that it names.

From pyproject.toml, setup.cfg and the PKG-INFO that every sdist has: there is also what a setup.py computes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pybots.config import strange

HOMES: Final = ("homepage", "home", "documentation", "docs", "source", "repository", "github")
TRACKER: Final = re.compile(r"\b(issues?|bugs?|tracker)\b")
SOURCE: Final = re.compile(r"\b(source|code|repo|repository|github|git)\b")
FORGE: Final = re.compile(
    r"(https://(?:github\.com|gitlab\.com|codeberg\.org)/[\w.-]{1,99}/[\w.-]{1,99}?)(?:\.git)?/?"
)
"""A repository's page that is also what git fetches."""
_EXTRA: Final = re.compile(r"""extra\s*==\s*["']([\w.-]+)["']""")
NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_MAX_DEPTH: Final = 5


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """`extras` and `groups` with the names of their distributions; `environment` the requirements of a test
    environment of another tool, `teller` which."""

    name: str = ""
    homepage: str = ""
    tracker: str = ""
    repository: str = ""
    extras: Mapping[str, frozenset[str]] = field(default_factory=dict)
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    environment: tuple[str, ...] = ()
    teller: str = ""


def read(folder: Path) -> Metadata:
    """What the tree says of itself; never raises for what it holds."""
    data = strange.toml(strange.text(folder, "pyproject.toml"))
    setup = strange.sections(strange.text(folder, "setup.cfg"))
    info = strange.text(folder, "PKG-INFO").partition("\n\n")[0].splitlines()
    urls = _urls(data, info)
    name = strange.table(data, "project").get("name") or setup.get("metadata", "name", fallback="")
    name = name or next((line[6:] for line in info if line.startswith("Name: ")), "")
    teller, environment = next(_environments(data), ("", ()))
    repository = _repository(urls)
    return Metadata(
        name=name if isinstance(name, str) else "",
        homepage=next((urls[label] for label in HOMES if label in urls), ""),
        tracker=next((urls[label] for label in urls if TRACKER.search(label)), "")
        or (repository and f"{repository}/issues"),
        repository=repository,
        extras=_extras(data, setup, info, _requires(folder)),
        groups={
            group: _group(data, group)
            for group in strange.table(data, "dependency-groups")
            if NAME.fullmatch(group)
        },
        environment=environment,
        teller=teller,
    )


def _urls(data: dict[str, Any], info: list[str]) -> dict[str, str]:
    """Addresses by what they are called, in lower case."""
    found = {
        str(label).lower(): address
        for label, address in strange.table(data, "project", "urls").items()
        if isinstance(address, str)
    }
    for line in info:
        if line.startswith("Project-URL: "):
            label, _, address = line.removeprefix("Project-URL: ").partition(", ")
            found.setdefault(label.lower(), address)
        elif line.startswith("Home-page: "):
            found.setdefault("homepage", line.removeprefix("Home-page: "))
    return {
        label: one
        for label, one in found.items()
        if re.fullmatch(r"https?://[\w.:-]+(/[!-~]{0,300})?", one)
    }


def _repository(urls: Mapping[str, str]) -> str:
    """Where its source is: an address that is called so, else the first that looks like one."""
    for wanted in (SOURCE, re.compile("")):
        for label, address in urls.items():
            if wanted.search(label) and (found := FORGE.fullmatch(address)):
                return found[1]
    return ""


def _requires(folder: Path) -> str:
    """The requires.txt that setuptools puts into an sdist: what a setup.py computes, also where PKG-INFO is an old one."""
    found = next(strange.files(folder, "*.egg-info/requires.txt"), None)
    return strange.text(folder, str(found.relative_to(folder))) if found else ""


def _extras(
    data: dict[str, Any], setup: Any, info: list[str], requires: str
) -> dict[str, frozenset[str]]:
    """The extras with the distributions they bring."""
    found: dict[str, set[str]] = {}
    for name, lines in strange.table(data, "project", "optional-dependencies").items():
        found.setdefault(str(name), set()).update(strange.distributions(strange.strings(lines)))
    if setup.has_section("options.extras_require"):
        for name, lines in setup["options.extras_require"].items():
            found.setdefault(name, set()).update(strange.distributions(lines.split("\n")))
    extra = ""
    for line in requires.splitlines():
        if header := re.fullmatch(r"\[([^\]:]*)(:.*)?\]", line):
            extra = header[1]
        elif extra:
            found.setdefault(extra, set()).update(strange.distributions([line]))
    for line in info:
        if line.startswith("Provides-Extra: "):
            found.setdefault(line.removeprefix("Provides-Extra: ").strip(), set())
        elif line.startswith("Requires-Dist: "):
            for extra in _EXTRA.findall(line):
                names = strange.distributions([line.removeprefix("Requires-Dist: ")])
                found.setdefault(extra, set()).update(names)
    return {name: frozenset(names) for name, names in found.items() if NAME.fullmatch(name)}


def _group(data: dict[str, Any], name: str, depth: int = 0) -> frozenset[str]:
    """The distributions of a dependency group and of those that it includes."""
    entries = strange.table(data, "dependency-groups").get(name)
    found = strange.distributions(strange.strings(entries))
    for entry in entries if isinstance(entries, list) and depth < _MAX_DEPTH else ():
        other = entry.get("include-group") if isinstance(entry, dict) else None
        if isinstance(other, str):
            found |= _group(data, other, depth + 1)
    return frozenset(found)


def _environments(data: dict[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Test environments as other tools name them, most telling first: (which, requirements)."""
    tool = strange.table(data, "tool")
    for name in ("hatch-test", "test", "tests", "testing", "dev", "default"):
        environment = strange.table(tool, "hatch", "envs", name)
        for key in ("extra-dependencies", "dependencies"):
            yield from _told(f"[tool.hatch.envs.{name}]", strange.strings(environment.get(key)))
    for name in ("test", "tests", "testing", "dev"):
        # Their versions are written in another way; the names are what is sure.
        poetry = strange.table(tool, "poetry", "group", name, "dependencies")
        yield from _told(f"[tool.poetry.group.{name}]", poetry)
        yield from _told(
            f"[tool.pdm.dev-dependencies] {name}",
            strange.strings(strange.table(tool, "pdm", "dev-dependencies").get(name)),
        )
    yield from _told(
        "[tool.poetry.dev-dependencies]", strange.table(tool, "poetry", "dev-dependencies")
    )
    yield from _told(
        "[tool.uv] dev-dependencies",
        strange.strings(strange.table(tool, "uv").get("dev-dependencies")),
    )


def _told(which: str, lines: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    found = tuple(line for line in lines if strange.is_requirement(line))
    if found:
        yield which, found

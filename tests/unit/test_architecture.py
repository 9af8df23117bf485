"""The import law of DESIGN §3, read from the source: no circle, no upward arrow, outside libraries in their rooms only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
PACKAGES = {
    "pybots": TOP / "master/src/pybots",
    "pybots_worker": TOP / "slaves/src/pybots_worker",
    "pybots_status": TOP / "status-theme/src/pybots_status",
}

# room -> the rooms it may import; every room may use what crosses the wire: CONTRACTS
LAW = {
    "core": set(),
    "config": {"core"},
    "ledger": {"core"},
    "store": set(),
    "mail": {"core"},
    "farm": {"core", "config", "ledger", "store", "mail", "farm"},
    "web": {"core", "config", "ledger", "store", "farm", "theme"},
    "glue": {"core", "config", "ledger", "store", "mail", "farm"},
    "laptop": {"core", "config", "ledger", "store", "farm", "kit"},
    "miniature": set(),
    "supervisor": set(),
    "cli": {
        "core", "config", "ledger", "store", "mail", "farm", "glue", "web", "laptop", "miniature",
        "supervisor", "kit", "theme",
    },
    "kit": set(),
    "theme": set(),
}  # fmt: skip
EXTRA = {("farm", "theme")}  # farm/views turn the ledger into the theme's page data
# What both ends say to each other, and the bounds of how they do.
CONTRACTS = ("pybots_worker.contract", "pybots_worker.welcome", "pybots_worker.wire")

# Libraries that may be imported in these rooms only.
ONLY_IN = {
    "buildbot": {"glue"},
    "buildbot_worker": {"kit"},
    "twisted": {"glue", "web", "kit"},
    "klein": {"web"},
    "sqlalchemy": {"ledger", "farm", "glue", "web", "cli"},
    "alembic": {"ledger"},
    "jinja2": {"theme"},
}
IMPURE = {
    "time",
    "socket",
    "subprocess",
    "os",
    "asyncio",
    "threading",
    "random",
    "urllib",
    "requests",
}


def modules() -> Iterator[tuple[str, Path]]:
    for package, root in PACKAGES.items():
        for path in sorted(root.rglob("*.py")):
            if "inside" in path.parts or "tree" in path.parts or "sources" in path.parts:
                continue  # run by the interpreter under test, or the miniature's own source
            parts = path.relative_to(root).with_suffix("").parts
            yield ".".join((package, *parts)).removesuffix(".__init__"), path


@cache
def imports(path: Path, module: str) -> tuple[str, ...]:
    """Every imported name, also inside functions and under TYPE_CHECKING."""
    return tuple(_imports(path, module))


def _imports(path: Path, module: str) -> Iterator[str]:
    is_package = path.name == "__init__.py"
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = module.split(".")[: len(module.split(".")) - node.level + is_package]
                base = ".".join([*up, *([base] if base else [])])
            for alias in node.names:
                yield f"{base}.{alias.name}"


def room(module: str) -> str | None:
    """The room of one of our modules; None for the outside world and for empty package roots."""
    parts = module.split(".")
    if parts[0] == "pybots_worker":
        return "kit"
    if parts[0] == "pybots_status":
        return "theme"
    if parts[0] != "pybots" or len(parts) == 1:
        return None
    return "cli" if parts[1].startswith("cli") else parts[1]


ALL = list(modules())


def test_every_module_is_in_a_room() -> None:
    assert len(ALL) > 200
    rooms = {module: room(module) for module, _ in ALL}
    assert [name for name, mine in rooms.items() if mine is not None and mine not in LAW] == []


def test_a_module_imports_only_what_its_room_may() -> None:
    found = [
        f"{module} ({room(module)}) imports {name} ({room(name)})"
        for module, path in ALL
        for name in imports(path, module)
        if not may_import(module, name)
    ]
    assert found == []


def may_import(module: str, name: str) -> bool:
    mine, theirs = room(module), room(name)
    if mine is None or theirs in (None, mine):
        return True
    if f"{name}.".startswith(tuple(f"{contract}." for contract in CONTRACTS)):
        return True
    views = module.startswith("pybots.farm.views")
    return theirs in LAW[mine] or ((mine, theirs) in EXTRA and views)


def test_a_library_is_imported_in_its_rooms_only() -> None:
    found = [
        f"{module} imports {name}"
        for module, path in ALL
        for name in imports(path, module)
        if room(module) not in ONLY_IN.get(name.split(".")[0], (room(module),))
    ]
    assert found == []


def test_core_is_pure() -> None:
    """No I/O, no clock, no network: decisions depend on their arguments only."""
    found = [
        (module, name)
        for module, path in ALL
        if room(module) == "core"
        for name in imports(path, module)
        if name.split(".")[0] in IMPURE
    ]
    assert not found


def test_no_circle_of_imports() -> None:
    """Also between files of one room: a circle means that two files are one."""
    names = {module for module, _ in ALL}
    graph: dict[str, set[str]] = {}
    for module, path in ALL:
        used: set[str] = set()
        for name in imports(path, module):
            target = name
            while target and target not in names:
                target = target.rpartition(".")[0]
            if target and target != module and not is_package_of(target, module):
                used.add(target)
        graph[module] = used
    assert not circle(graph)


def is_package_of(package: str, module: str) -> bool:
    return module.startswith(package + ".")


def circle(graph: dict[str, set[str]]) -> list[str]:
    state: dict[str, int] = {}
    trail: list[str] = []

    def visit(node: str) -> list[str]:
        state[node] = 1
        trail.append(node)
        for following in sorted(graph.get(node, ())):
            if state.get(following) == 1:
                return [*trail[trail.index(following) :], following]
            if following not in state and (found := visit(following)):
                return found
        trail.pop()
        state[node] = 2
        return []

    for node in sorted(graph):
        if node not in state and (found := visit(node)):
            return found
    return []


def test_the_check_itself_sees_hidden_imports(tmp_path: Path) -> None:
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pybots.glue import x\ndef f():\n    import klein\n"
    file = tmp_path / "m.py"
    file.write_text(source)
    assert {"pybots.glue.x", "klein"} <= set(imports(file, "pybots.core.m"))
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]

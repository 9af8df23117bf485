"""What each key of a project's file means: the words of the reference in projects/README.md, for editors that read the schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

MEANINGS: Final[Mapping[str, str]] = {
    "name": "the file's name without `.toml`; may be left out",
    "title": "the name people know it by",
    "note": "what is special about it, for readers of its page",
    "homepage": "http or https",
    "tracker": "where to report",
    "starter": "belongs to the small set `pybots up` runs at first",
    "notify": 'who is mailed at once when something changes: `["you@example.org"]`',
    "notify_daily": "who gets one mail a day instead, on days with news",
    "notify_personal": "addresses that are one person's: mailed at once, each alone, with a link to answer",
    "wants": 'facts a worker must have, as `pybots-worker doctor` lists them: `["g++", "headers:ffi"]`',
    "services": 'servers of its own for the tests, see below: `"mariadb"`, `"postgresql"`',
    "system": 'system libraries it is compiled against: `["libxml2"]`; only workers that have them run it',
    "network": 'when there is network: `"none"`, `"install"` (only while installing) or `"always"`',
    "timeout_minutes": "how long the tests may take",
    "memory_mb": "memory of all test processes together",
    "modules": "import names whose compiled modules must not get lost; empty: all that the project installs are listed",
    "flavours": "only on these flavours; empty: on all the farm builds",
    "branches": "only on these branches of CPython; empty: all",
    "source.release.index": "its name on the package index: the newest sdist is tested",
    "source.release.version": "this version instead of the newest",
    "source.release.pre": "pre-releases count too",
    "source.trunk.git": "its repository: https, ssh, git, file URL or an absolute path",
    "source.trunk.branch": "empty: the repository's default branch",
    "source.trunk.submodules": "fetch them too",
    "source.own": "CPython's own suite: the tests are those installed with the interpreter under test",
    "install.project": "whether the project itself is installed",
    "install.path": "where in the tree its pyproject.toml or setup.py is",
    "install.extras": 'its extras: `["test"]`',
    "install.groups": "dependency groups of its pyproject.toml",
    "install.requirements": 'further requirements: `["pytest>=8"]`',
    "install.requirement_files": "requirements files in the tree",
    "install.editable": "install the tree itself; extensions are built in place",
    "install.build_isolation": "false: it is built in the environment, after the requirements",
    "install.commands": 'commands to run last, in the tree: `[["make", "tables"]]`',
    "install.as_of": "dependencies as they were on this day: `2025-01-31`",
    "test.runner": '`"pytest"`, `"unittest"`, `"trial"`, `"django"`, `"regrtest"`, `"tox"`, `"nox"` or `"command"`',
    "test.args": "the runner's own arguments, as after `python -m pytest`, `python -m unittest` …; of `django`: of its runtests.py; of `tox`: the environment, of `nox`: the session, and then what follows `--` there; of `regrtest`: as after `python -m test`; of `command`: the whole command",
    "test.directory": "where in the tree the tests are run",
    "test.results": "of `command`: the JUnit file it writes, from where it runs; empty: exit status only",
    "test.retries": "how often failing tests are run again alone in the same build, and then once in order, to know the flaky ones; `0`: never. Each such run may last twice as long as all tests did at first, or a minute; what hangs in it is not tried again. A `command` without such tests is run once more as a whole",
    "env.<NAME>": "environment variables of installing and testing",
}
"""As in the table, with its marks."""


def explained(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema as pydantic makes it, with each key's meaning beside it and nothing that TOML does not have."""
    for key, meaning in MEANINGS.items():
        found = _at(schema, key.split("."))
        found.pop("title", None)
        found["description"] = meaning.replace("`", "")
    for table in (schema, *schema["$defs"].values()):
        for value in table["properties"].values():
            choices = value.pop("anyOf", None)  # a table or nothing: a key that is absent
            value.update(next((one for one in choices or () if "$ref" in one), {}))
            if choices or value.get("default", "") is None:
                value.pop("default", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "A project of a Pybots farm",
    }


def _at(schema: dict[str, Any], path: list[str]) -> dict[str, Any]:
    """The part of the schema that a key's value has; of a table by name that of each of its values."""
    at = schema
    for part in path:
        for one in (at, *at.get("anyOf", ())):
            if "$ref" in one:
                at = schema["$defs"][one["$ref"].rpartition("/")[2]]
        at = at["additionalProperties"] if part.startswith("<") else at["properties"][part]
    return at

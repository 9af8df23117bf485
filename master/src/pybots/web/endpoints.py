"""The JSON API: one table of endpoints, from which routes (`routes`) and description (`openapi`) are made. Strict: nonsense is a 400."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args
from urllib.parse import parse_qsl

from pybots.core.model import BreakageState
from pybots.farm.home import Farm
from pybots.farm.views import api, apilists, shapes
from pybots.web.bodies import Refused

MOST: Final = 9_007_199_254_740_991
MAX_TEXT: Final = 400


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One value in an address: a whole number, a word of a list, or text that fits a pattern."""

    name: str
    where: Literal["path", "query"]
    words: str
    number: bool = False
    choices: tuple[str, ...] = ()
    pattern: str = r"^[!-~]+$"

    @property
    def schema(self) -> dict[str, Any]:
        """In JSON Schema's words."""
        if self.number:
            return {"type": "integer", "minimum": 0, "maximum": MOST}
        if self.choices:
            return {"type": "string", "enum": list(self.choices)}
        return {"type": "string", "minLength": 1, "maxLength": MAX_TEXT, "pattern": self.pattern}

    def read(self, text: str) -> str | int:
        """The value. Raises Refused."""
        if self.number:
            if text.isascii() and text.isdigit() and len(text) < 17 and int(text) <= MOST:
                return int(text)
            raise Refused(400, f"{self.name} must be a whole number")
        if self.choices and text not in self.choices:
            raise Refused(400, f"{self.name} must be one of {', '.join(self.choices)}")
        if not 0 < len(text) <= MAX_TEXT or not re.search(self.pattern, text):
            raise Refused(400, f"{self.name} must fit {self.pattern}")
        return text


Given = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """`/api/v1/<path>`, with `{name}` where a path parameter stands."""

    name: str
    path: str
    words: str
    shape: Any
    view: Callable[[Farm, Given], dict[str, Any]]
    parameters: tuple[Parameter, ...] = ()

    @property
    def documented(self) -> str:
        return f"/api/v1/{self.path}"

    @property
    def route(self) -> str:
        return self.documented.replace("{", "<").replace("}", ">")


def _in_path(name: str, words: str, **more: Any) -> Parameter:
    return Parameter(name=name, where="path", words=words, **more)


def _asked(name: str, words: str, **more: Any) -> Parameter:
    return Parameter(name=name, where="query", words=words, **more)


_NUMBER: Final = _in_path("number", "its id", number=True)
_BRANCH: Final = _asked("branch", "a watched branch; without it the farm's first")

ENDPOINTS: Final = (
    Endpoint(
        name="lanes", path="lanes", words="A branch's lanes as they stand", shape=shapes.Lanes,
        view=lambda farm, given: api.lanes_summary(farm, given.get("branch", "")),
        parameters=(_BRANCH,),
    ),
    Endpoint(
        name="projects", path="projects", words="All projects", shape=shapes.Projects,
        view=lambda farm, _: apilists.projects(farm),
    ),
    Endpoint(
        name="lane", path="lane/{name}", words="What fails in a lane now", shape=shapes.Lane,
        view=lambda farm, given: api.lane(farm, given["name"]),
        parameters=(_in_path("name", "the lane's name or id"),),
    ),
    Endpoint(
        name="commit", path="commit/{sha}", words="A commit and its runs", shape=shapes.Commit,
        view=lambda farm, given: api.commit(farm, given["sha"]),
        parameters=(
            _in_path("sha", "at least 7 of its digits", pattern="^[0-9a-fA-F]{7,40}$"),
        ),
    ),
    Endpoint(
        name="run", path="run/{number}", words="One run", shape=shapes.Run,
        view=lambda farm, given: api.run(farm, given["number"]), parameters=(_NUMBER,),
    ),
    Endpoint(
        name="changes", path="run/{number}/changes", shape=shapes.Changes,
        words="What changed in a lane up to a run",
        view=lambda farm, given: api.changes(farm, given["number"], given.get("from", 0)),
        parameters=(
            _NUMBER,
            _asked("from", "the earlier run; without it the one before", number=True),
        ),
    ),
    Endpoint(
        name="breakages", path="breakages", words="Breakages, newest first", shape=shapes.Breakages,
        view=lambda farm, given: apilists.breakages(
            farm, given.get("state", ""), given.get("branch", ""), given.get("before", 0)
        ),
        parameters=(
            _asked("state", "only these", choices=get_args(BreakageState)),
            _asked("branch", "only this branch's"),
            _asked("before", "only ones older than this id: the `next` of the page before", number=True),
        ),
    ),
    Endpoint(
        name="breakage", path="breakage/{number}", words="One breakage", shape=shapes.Breakage,
        view=lambda farm, given: apilists.breakage(farm, given["number"]), parameters=(_NUMBER,),
    ),
    Endpoint(
        name="workers", path="workers", words="All workers", shape=shapes.Workers,
        view=lambda farm, _: apilists.workers(farm),
    ),
    Endpoint(
        name="tree", path="tree", words="What the admin said about the farm", shape=shapes.Tree,
        view=lambda farm, _: apilists.words(farm),
    ),
)  # fmt: skip


def read(endpoint: Endpoint, query: bytes, path: Mapping[str, str]) -> dict[str, str | int]:
    """The parameters of a request. Raises Refused for one that is unknown, twice there or not what it must be."""
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, strict_parsing=bool(query),
            errors="strict", max_num_fields=20,
        )  # fmt: skip
    except ValueError:
        raise Refused(400, "the query can't be read") from None
    known = {one.name: one for one in endpoint.parameters}
    given = [*((name, text) for name, text in path.items()), *pairs]
    names = [name for name, _ in given]
    for name in names:
        if name not in known:
            raise Refused(400, f"there is no parameter {name[:40]!r}")
        if names.count(name) > 1:
            raise Refused(400, f"{name} stands there more than once")
    return {name: known[name].read(text) for name, text in given}

"""Closed schemas: data -> a frozen pydantic model, and every mistake as a Problem in words people use.

`build` also salvages: what is wrong is left out and the rest is validated again, so that checks across keys
still run over a file that has a mistake elsewhere.
"""

from __future__ import annotations

import copy
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Generic, TypeVar, Union

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from pybots.config.checks import OWN_KIND, near
from pybots.config.errors import Problem, shown
from pybots.config.toml import Document

Path = tuple[str | int, ...]
MAX_ROUNDS: Final = 8


class Closed(BaseModel):
    """The base of all schemas: an unknown key, or a value of another type, is an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True
    )
    stand_in: ClassVar[Mapping[str, Any]] = {}
    """What takes the place of a required key at the top that is missing or wrong, so that the rest is still looked at."""


M = TypeVar("M", bound=Closed)
T = TypeVar("T")


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Several = Annotated[tuple[T, ...], BeforeValidator(_as_tuple)]
"""A TOML list, kept as a tuple so that the settings stay frozen."""


@dataclass(frozen=True)
class Built(Generic[M]):
    """`value` is None when nothing could be salvaged; `left_out` are the keys that were wrong."""

    value: M | None
    problems: tuple[Problem, ...]
    left_out: frozenset[Path] = frozenset()

    def trusts(self, *path: str | int) -> bool:
        """Whether a key, and what is above and below it, was taken as written."""
        return not any(_related(path, other) for other in self.left_out)

    def place(self, path: Path) -> Path:
        """A place of `value` as the file counts it: what was left out of a list is still there."""
        real: Path = ()
        for part in path:
            if isinstance(part, int):
                for gone in sorted(self._left_out_of(real)):
                    part += gone <= part
            real = (*real, part)
        return real

    def _left_out_of(self, at: Path) -> Iterator[int]:
        """The numbers of what was left out of the list at a place."""
        for path in self.left_out:
            if path[:-1] == at and isinstance(path[-1], int):
                yield path[-1]


def _related(one: Path, other: Path) -> bool:
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def build(model: type[M], document: Document) -> Built[M]:
    """The model of a document that was read, with every mistake."""
    if document.data is None:
        return Built(None, (document.problem,) if document.problem else ())
    data = copy.deepcopy(document.data)
    problems: dict[tuple[Path, str], Problem] = {}
    left_out: set[Path] = set()
    for _ in range(MAX_ROUNDS):
        try:
            value = model.model_validate(data)
            return Built(value, tuple(problems.values()), frozenset(left_out))
        except ValidationError as error:
            details = error.errors(include_url=False)
        for detail in details:
            path = _real(detail["loc"], data)
            if path not in left_out:
                problems[path, detail["type"]] = _problem(model, document, path, detail)
        wrong = {_real(detail["loc"], data) for detail in details}
        left_out |= wrong
        if not _leave_out(data, wrong):
            tables = {path[:-1] for path in wrong if len(path) > 1}
            if not _leave_out(data, tables) and not _stand_in(model, data, wrong):
                break
            left_out |= tables
    return Built(None, tuple(problems.values()), frozenset(left_out))


def _real(path: Path, data: Any) -> Path:
    """The part of an error's place that is really in the data (or is the key that lacks)."""
    real: list[str | int] = []
    for part in path:
        if part == "[key]":
            break
        real.append(part)
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            break
    return tuple(real)


def _leave_out(data: dict[str, Any], paths: Iterable[Path]) -> bool:
    """Remove what is wrong, the last of a list first. False when there is nothing to remove."""
    removed = False
    for path in sorted(paths, key=lambda p: tuple(map(_order, p)), reverse=True):
        at: Any = data
        try:
            for part in path[:-1]:
                at = at[part]
            del at[path[-1]]
            removed = True
        except (KeyError, IndexError, TypeError):
            continue
    return removed


def _stand_in(model: type[Closed], data: dict[str, Any], missing: set[Path]) -> bool:
    """Put in what the model has for keys that it cannot do without. False when there is nothing to put in."""
    found = {key: model.stand_in[key] for key in model.stand_in if (key,) in missing}
    data.update(copy.deepcopy(found))
    return bool(found)


def _order(part: str | int) -> tuple[int, int, str]:
    return (1, part, "") if isinstance(part, int) else (0, 0, part)


def _problem(model: type[Closed], document: Document, path: Path, error: ErrorDetails) -> Problem:
    message, mend = _words(model, path, error)
    return Problem(document.file, key_text(path), message, mend, document.line(path))


def key_text(path: Path) -> str:
    """`mail.smtp.port`, `notify[0]`: a place as the documentation writes it."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            plain = re.fullmatch(r"[A-Za-z0-9_-]{1,60}", part)
            text += ("." if text else "") + (part if plain else shown(part))
    return text


def _words(model: type[Closed], path: Path, error: ErrorDetails) -> tuple[str, str]:
    """Message and mend for one of pydantic's errors."""
    kind, value, context = error["type"], error.get("input"), error.get("ctx", {})
    match kind:
        case "extra_forbidden":
            keys = keys_at(model, path[:-1])
            mend = near(str(path[-1]), keys) or f"known here: {', '.join(keys)}"
            return "unknown key", mend
        case "missing":
            return "is missing", "add it"
        case "literal_error":
            known = re.findall(r"'([^']*)'", context["expected"])
            mend = near(str(value), known) or "write one of them"
            return f"{shown(value)} is not one of {context['expected']}", mend
        case _ if kind == OWN_KIND:
            said = str(context["message"])
            return (f"{shown(value)} {said}" if context["show"] else said), str(context["mend"])
        case _ if kind in _TYPES:
            mend = _type_mend(kind, value) or f"write {_TYPES[kind]}"
            return f"should be {_TYPES[kind]}, is {shown(value)}", mend
        case _ if kind in _BOUNDS:
            message, mend, bound = _BOUNDS[kind]
            return f"{shown(value)} {message}", mend.format(context[bound])
        case _:
            return f"{shown(value)}: {error['msg']}", "see the reference"


_TYPES: Final = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}


_BOUNDS: Final = {
    "less_than_equal": ("is too great", "at most {}", "le"),
    "greater_than_equal": ("is too small", "at least {}", "ge"),
    "greater_than": ("is too small", "greater than {}", "gt"),
    "string_too_long": ("is too long", "at most {} characters", "max_length"),
    "string_too_short": ("is too short", "at least {} character", "min_length"),
}


def _type_mend(kind: str, value: Any) -> str:
    if kind == "string_type" and isinstance(value, (int, float)) and not isinstance(value, bool):
        return f'put it in quotes: "{value}"'
    if kind == "tuple_type" and isinstance(value, str):
        return f"put it in brackets: [{shown(value)}]"
    if kind == "bool_type" and isinstance(value, str):
        return "write it without quotes"
    if kind in ("int_type", "float_type") and isinstance(value, str):
        return "write a number without quotes"
    return ""


def keys_at(model: type[BaseModel], path: Path) -> tuple[str, ...]:
    """The keys a schema knows at a place (through tables, lists and tables by name)."""
    at: Any = model
    for part in path:
        at = _step(at, part)
    found = _model_in(at)
    return tuple(f.alias or n for n, f in found.model_fields.items()) if found else ()


def _step(annotation: Any, part: str | int) -> Any:
    model = _model_in(annotation)
    if model is not None and isinstance(part, str):
        for field_name, info in model.model_fields.items():
            if part in (field_name, info.alias):
                return info.annotation
        return None
    arguments = typing.get_args(annotation)
    return arguments[-1] if typing.get_origin(annotation) is dict and arguments else (
        arguments[0] if arguments else None
    )  # fmt: skip


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The schema an annotation means, also inside `X | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (Union, types.UnionType):
        for choice in typing.get_args(annotation):
            if found := _model_in(choice):
                return found
    return None

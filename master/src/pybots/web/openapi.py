"""`/api/v1/openapi.json`: the API's description, made of the table that its routes are made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from pybots.farm.views import shapes
from pybots.web.endpoints import Endpoint, Parameter

FAILURES: Final = {
    "400": "A parameter is not what it must be.",
    "404": "There is no such thing.",
    "405": "The API can only be read.",
    "503": "The farm is being upgraded, or has too many readers: `Retry-After` says when.",
}
REFERENCE: Final = "#/components/schemas/{name}"


def document(farm: str, version: str, url: str, endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of a farm with this name, at this public address."""
    every = tuple(endpoints)
    shown = [shapes.Error, *dict.fromkeys(one.shape for one in every)]
    made, components = msgspec.json.schema_components(shown, ref_template=REFERENCE)
    references = dict(zip(shown, made, strict=True))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{farm}: what broke, and since when",
            "version": version,
            "description": "Read only. Keys are only ever added within v1. Times are seconds since the epoch in UTC.",
        },
        "servers": [{"url": url.rstrip("/")}],
        "paths": {one.documented: {"get": _operation(one, references)} for one in every},
        "components": {"schemas": components},
    }


def _operation(endpoint: Endpoint, references: dict[Any, Any]) -> dict[str, Any]:
    failures = {
        status: {
            "description": words,
            "content": {"application/json": {"schema": references[shapes.Error]}},
        }
        for status, words in FAILURES.items()
    }
    return {
        "operationId": endpoint.name,
        "summary": endpoint.words,
        "parameters": [_parameter(one) for one in endpoint.parameters],
        "responses": {
            "200": {
                "description": "It is there.",
                "headers": {
                    "ETag": {"required": True, "schema": {"type": "string"}},
                    "Cache-Control": {"required": True, "schema": {"type": "string"}},
                },
                "content": {"application/json": {"schema": references[endpoint.shape]}},
            },
            **failures,
        },
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.where == "path",
        "description": parameter.words,
        "schema": parameter.schema,
    }

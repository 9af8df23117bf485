"""What makes two interpreters the same one. Pure."""

from __future__ import annotations

import hashlib

import msgspec

from pybots_worker import contract


def interpreter_key(
    *, content_key: str, flavour: str, recipe: contract.Recipe, abi: str, trust: str
) -> str:
    """The sha256 that names an interpreter: content of the tree, flavour, recipe, ABI tag, trust group."""
    parts = {
        "content": content_key,
        "flavour": flavour,
        "recipe": msgspec.to_builtins(recipe),
        "abi": abi,
        "trust": trust,
    }
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()

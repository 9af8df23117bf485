"""`/tree`: the admin's word about the farm, and what it was before."""

from __future__ import annotations

from typing import Final

from pybots.farm import tree
from pybots.farm.home import Farm
from pybots.farm.views.common import Visit
from pybots.farm.views.frame import frame, tree_note
from pybots_status import links
from pybots_status.pages import Tree

PAGE: Final = 50


def page(farm: Farm, visit: Visit, *, before: int = 0) -> Tree:
    """The page. `before`: only words older than the one with this id."""
    with farm.ledger.read() as connection:
        found = tree.history(connection, limit=PAGE + 1, before=before)
        around = frame(farm, connection, visit, title="Tree", current="tree")
    return Tree(
        frame=around,
        rows=tuple(tree_note(entry) for entry in found[:PAGE]),
        older=links.with_query(links.TREE, before=found[PAGE - 1].id) if len(found) > PAGE else "",
    )

"""A miniature world for `./pybots demo` and the farm's tests: a CPython, projects and an index, made in a second.

The miniature CPython is configured, compiled and installed like the real one, and yields a working interpreter whose
behaviour depends on the commit. See `world.World` for what one does with it, `history.CHANGES` for what can happen to
it, `projects.PROJECTS` and `hostile.hostile` for the projects.
"""

from pybots.miniature.base import NoBaseError, find_base
from pybots.miniature.history import AUTHORS, CHANGES
from pybots.miniature.hostile import Bounds
from pybots.miniature.repository import Person
from pybots.miniature.world import START, MiniProject, World

__all__ = [
    "AUTHORS",
    "CHANGES",
    "START",
    "Bounds",
    "MiniProject",
    "NoBaseError",
    "Person",
    "World",
    "find_base",
]

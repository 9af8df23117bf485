"""Topics of ours in Buildbot's message queue."""

from __future__ import annotations

from typing import Final

SLOTS: Final = ("pybots", "slots", "changed")
"""A slot may have become free."""

WORKERS: Final = ("pybots", "workers")
"""(…, name, "connected") when a worker's slots can be used, (…, name, "gone") when its connection is lost."""

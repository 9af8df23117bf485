"""The interpreter of a project's job: from the cache or the farm, mounted read-only at PREFIX."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pybots_worker import archive, fetch
from pybots_worker.contract import ProjectWork
from pybots_worker.errors import FarmTrouble
from pybots_worker.phases.build import look_at_interpreter
from pybots_worker.phases.context import Context


def get(context: Context) -> None:
    """Have it here, and see that it runs on this machine."""
    with interpreter(context) as prefix:
        look_at_interpreter(context, prefix)


@contextmanager
def interpreter(context: Context) -> Iterator[Path]:
    """The unpacked interpreter, kept from removal inside the block. Raises FarmTrouble."""
    work = context.job.work
    assert isinstance(work, ProjectWork)
    blob = work.interpreter.blob

    def make(tree: Path) -> None:
        packed = tree.parent / "packed"
        context.say(f"downloading {fetch.clean(blob.url)}")
        fetch.download(blob, packed, local=context.machine.settings.local, check=context.check)
        tree.mkdir()
        archive.unpack(packed, tree, name="the interpreter", strip=False)
        packed.unlink()

    try:
        with context.machine.interpreters.hold(blob.sha256, make, check=context.check) as tree:
            yield tree
    except (fetch.FetchError, archive.ArchiveError) as error:
        # Published by another worker: whatever is wrong with it, this project did not do it.
        raise FarmTrouble("Interpreter", str(error)) from error

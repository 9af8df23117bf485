"""The `pybots` command."""

from __future__ import annotations

import argparse
import os
import sys

from pybots import (
    cli_bisect,
    cli_breakage,
    cli_compare,
    cli_config,
    cli_demo,
    cli_farm,
    cli_impact,
    cli_python,
    cli_reproduce,
    cli_tree,
    cli_try,
    cli_up,
    cli_worker,
)
from pybots.config.errors import ConfigErrors
from pybots.ledger.migrate import SchemaError

CONFIG_ERROR = 3
BROKEN_PIPE = 141
"""As a shell says of a process that SIGPIPE ended."""


def parser() -> argparse.ArgumentParser:
    """Every command, each with its help."""
    made = argparse.ArgumentParser(
        prog="pybots",
        description="Which CPython commit broke which project: a farm that builds CPython and tests projects on it.",
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="command")
    laptop = (cli_try, cli_bisect, cli_reproduce, cli_impact, cli_python)
    for module in (
        cli_up,
        cli_demo,
        *laptop,
        cli_farm,
        cli_breakage,
        cli_compare,
        cli_tree,
        cli_worker,
    ):
        module.add_parser(commands)
    cli_config.add_parsers(commands)
    return made


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    arguments = parser().parse_args(argv)
    try:
        status = int(arguments.run(arguments))
        sys.stdout.flush()
        return status
    except (ConfigErrors, SchemaError) as error:
        print(error, file=sys.stderr)
        return CONFIG_ERROR
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # `| head` has seen enough; what is still buffered must not be tried again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE


if __name__ == "__main__":
    sys.exit(main())

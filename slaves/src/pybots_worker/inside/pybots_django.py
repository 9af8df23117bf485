# mypy: ignore-errors
"""Runs Django's own tests/runtests.py (or a project's script like it) and tells the kit what happens.

    pybots_django.py [SCRIPT.py] ARGUMENTS…
The script is the first argument that ends with .py, else runtests.py or tests/runtests.py. Django's parallel runs
replay their results in the parent, where `Telling` hears them.
Runs on Python 3.6 and later; standard library and Django only.
"""

import argparse
import os
import runpy
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
if HERE not in sys.path:
    sys.path.insert(0, HERE)

from pybots_events import only  # noqa: E402
from pybots_results import Telling, filtered, plan  # noqa: E402


def patch():
    """Only the first runner that runs tests tells: Django's tests of its runner have runners of their own."""
    from django.test import runner

    run_tests = runner.DiscoverRunner.run_tests

    def first(self, *args, **kwargs):
        runner.DiscoverRunner.run_tests = run_tests
        outfit(self)
        return run_tests(self, *args, **kwargs)

    runner.DiscoverRunner.run_tests = first


def outfit(runner):
    """Have this one runner say what it plans and what happens."""
    get_resultclass, run_suite = runner.get_resultclass, runner.run_suite
    build_suite = runner.build_suite

    def resultclass():
        base = get_resultclass() or unittest.TextTestResult
        return type("Telling" + base.__name__, (Telling, base), {})

    def suite(*args, **kwargs):
        found = build_suite(*args, **kwargs)
        wanted = only()
        if wanted is None or hasattr(found, "subsuites"):
            return found
        return filtered(found, frozenset(wanted))

    def run(suite, **kwargs):
        plan(suite)
        return run_suite(suite, **kwargs)

    runner.get_resultclass, runner.build_suite, runner.run_suite = resultclass, suite, run


def patch_labels():
    """A retry names its tests as labels, so that only the applications they need are set up."""
    wanted = only()
    if wanted is None or not all(part.isidentifier() for name in wanted for part in name.split(".")):
        return
    parse_args = argparse.ArgumentParser.parse_args

    def parsed(self, *args, **kwargs):
        # Only the script's own: management commands parse arguments as well.
        argparse.ArgumentParser.parse_args = parse_args
        options = parse_args(self, *args, **kwargs)
        for name in ("modules", "test_labels", "args"):
            if hasattr(options, name):
                setattr(options, name, list(wanted))
                break
        return options

    argparse.ArgumentParser.parse_args = parsed


def script(arguments):
    """(script, its arguments)"""
    if arguments and arguments[0].endswith(".py"):
        return arguments[0], arguments[1:]
    for candidate in ("runtests.py", os.path.join("tests", "runtests.py")):
        if os.path.exists(candidate):
            return candidate, arguments
    sys.exit("pybots: there is no runtests.py here; name the script as the first argument")


def main():
    path, arguments = script(sys.argv[1:])
    folder = os.path.dirname(os.path.abspath(path))
    sys.path[:] = [folder] + [entry for entry in sys.path if entry != HERE]
    sys.argv[:] = [path] + arguments
    patch()
    patch_labels()
    runpy.run_path(path, run_name="__main__")


if __name__ == "__main__":
    main()

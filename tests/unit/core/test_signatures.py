"""Signatures: one failure is one, two are two; over real tracebacks of every kind."""

from __future__ import annotations

import itertools

import pytest

from pybots.core.causes import cause
from pybots.core.frames import frames
from pybots.core.model import FailureKind
from pybots.core.signatures import exception_of, signature
from pybots_worker.contract import Failure

LIB = "/opt/pybots/python/lib/python3.15"
SITE = "/pybots/venv/lib/python3.15/site-packages"

UNITTEST = """\
Traceback (most recent call last):
  File "/opt/pybots/python/lib/python3.15/unittest/case.py", line 58, in testPartExecutor
    yield
  File "/pybots/source/tests/test_core.py", line {line}, in test_sum
    self.assertEqual(total({a}), 3)
    ~~~~~~~~~~~~~~~~^^^^^^^^^^^^^^^
AssertionError: {a} != 3
"""
PYTEST_LONG = """\
    def test_sum(tmp_path):
        value = load(tmp_path)
>       assert value.{name} == 3
E       AssertionError: assert 4 == 3
E        +  where 4 = <Value object at 0x7f00{line:08x}>.{name}

tests/test_core.py:{line}: AssertionError
"""
PYTEST_SHORT = """\
tests/test_core.py:{line}: in test_import
    from {module} import Mapping
E   ImportError: cannot import name 'Mapping' from '{module}'
"""
DEPENDENCY = """\
Traceback (most recent call last):
  File "/pybots/source/{project}/{caller}.py", line {line}, in {caller}
    {caller}_it()
  File "/pybots/venv/lib/python3.15/site-packages/Crypto/Random.py", line {line}, in reseed
    h.update(array)
  File "/pybots/venv/lib/python3.15/site-packages/Crypto/Hash.py", line 31, in update
    hash(data)
TypeError: unhashable type: 'array.array'
"""
TRIAL = """\
Traceback (most recent call last):
  File "/pybots/venv/lib/python3.15/site-packages/twisted/internet/defer.py", line {line}, in _run
    result = context.run(gen.send, result)
  File "/pybots/venv/lib/python3.15/site-packages/twisted/web/test/test_http.py", line {line}, in test_get
    self.assertEqual(code, {code})
twisted.trial.unittest.FailTest: not equal:
a = 404
b = {code}
"""
SEGFAULT = """\
Fatal Python error: Segmentation fault

Current thread 0x00007f{line:010x} (most recent call first):
  File "/pybots/venv/lib/python3.15/site-packages/lxml/{function}.py", line {line} in {function}
  File "/pybots/source/tests/test_core.py", line {line} in test_parse

Thread 0x00007f1111111111 (most recent call first):
  File "/opt/pybots/python/lib/python3.15/threading.py", line {line} in wait
"""
CHAINED = """\
Traceback (most recent call last):
  File "/pybots/source/a.py", line 1, in outer
    inner()
KeyError: '{key}'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/pybots/source/a.py", line {line}, in outer
    raise ConfigError('missing')
a.ConfigError: missing
"""
COMPILER = """\
  building '_cmsgpack' extension
  gcc -pthread -c msgpack/_cmsgpack.cpp -o build/temp.linux-x86_64-cpython-{line}/msgpack/_cmsgpack.o
  msgpack/_cmsgpack.cpp: In function 'int __Pyx_modinit()':
  msgpack/_cmsgpack.cpp:{line}:21: error: {error}
  error: command '/usr/bin/gcc' failed with exit code 1
"""
RESOLVER = """\
Using Python 3.15.0a1 environment at: /pybots/venv
error: No solution found when resolving dependencies
  cause: Because {package} was not found in the package registry and you require {package}>5, we can conclude that your requirements are unsatisfiable.
"""
BACKEND = """\
error: Failed to build `{package} @ file:///pybots/source`
  cause: The build backend returned an error
  cause: Call to `setuptools.build_meta.build_wheel` failed (exit status: 1)

      [stderr]
      Traceback (most recent call last):
        File "<string>", line 14, in <module>
        File "/pybots/.cache/uv/builds-v0/.tmp{line}/lib/python3.15/site-packages/setuptools/build_meta.py", line 333, in get_requires
          return self._get_build_requires(config_settings)
        File "<string>", line {line}, in get_version
      AttributeError: module 'configparser' has no attribute '{name}'
"""  # fmt: skip
GONE = """\
Traceback (most recent call last):
  File "/pybots/source/tests/{module}.py", line {line}, in {module}
    use({line})
  File "{inner}", line {line}, in use
    return there({line})
{said}
"""
CPYTHON = """\
gcc -c -fno-strict-overflow -I. -o Objects/{file}.o Objects/{file}.c
Objects/{file}.c: In function 'list_append':
Objects/{file}.c:{line}:12: error: 'foo' undeclared (first use in this function); did you mean 'bool'?
make: *** [Makefile:{line}: Objects/{file}.o] Error 1
"""


WRAPPED = """\
ImportError: Failed to import test module: tests.{module}
Traceback (most recent call last):
  File "/opt/pybots/python/lib/python3.15/unittest/loader.py", line 419, in _find_test_path
    module = self._get_module_from_name(name)
  File "/pybots/source/tests/{module}.py", line 3, in <module>
    from moss.rules import keep
  File "/pybots/venv/lib/python3.15/site-packages/moss/rules.py", line {line}
    {source}
              ^^^^^^
SyntaxError: invalid syntax
"""


def sign(
    detail: str,
    kind: FailureKind = "test",
    *,
    type: str = "",
    message: str = "",
    project: str = "anchor",
    where: str = "t::a",
) -> str:
    return signature(
        kind, Failure(type=type, message=message, detail=detail), project=project, where=where
    )


def dependency(project: str = "anchor", caller: str = "go", line: int = 1) -> str:
    return DEPENDENCY.format(project=project, caller=caller, line=line)


def gone(
    said: str, module: str = "test_a", project: str = "anchor", inner: str = "/pybots/source/go.py"
) -> str:
    """A failure that says this; the line differs in every call."""
    text = GONE.format(module=module, line=len(said) + len(module), inner=inner, said=said)
    return sign(text, project=project, where=f"tests/{module}.py::{module}")


NO_SUITE = "AttributeError: module 'unittest' has no attribute 'makeSuite'"
UTCNOW = "DeprecationWarning: datetime.datetime.utcnow() is deprecated and scheduled for removal"

FAMILIES: dict[str, list[str]] = {
    "a library's function is gone, wherever it is missed": [
        gone(NO_SUITE), gone(NO_SUITE, "test_b"), gone(f"{NO_SUITE}. Did you mean: 'TestSuite'?"),
        gone(NO_SUITE, project="buoy", inner="/pybots/source/buoy/go.py"),
        gone(NO_SUITE, inner=f"{SITE}/anchor/go.py"),
    ],
    "another of its functions is": [gone(NO_SUITE.replace("makeSuite", "findTestCases"))],
    "a dependency misses it": [
        gone(NO_SUITE, p, p, f"{SITE}/resin/{m}.py") for p, m in (("anchor", "core"), ("buoy", "more"))
    ],
    "another dependency misses it": [gone(NO_SUITE, inner=f"{SITE}/amber/core.py")],
    "a project's own function is gone": [
        gone("AttributeError: module 'anchor.core' has no attribute 'go'", m) for m in ("test_a", "test_b")
    ],
    "another project's own function of that name is": [
        gone("AttributeError: module 'anchor.core' has no attribute 'go'", project="buoy")
    ],
    **{
        f"{p}'s own module that its runner does not find": [
            gone("ModuleNotFoundError: No module named 'tests'", "test_a", p, f"{SITE}/_pytest/pathlib.py")
        ]
        for p in ("anchor", "buoy")
    },
    "a removed module": [
        gone("ModuleNotFoundError: No module named 'distutils'", m, p) for m, p in (("test_a", "anchor"), ("test_b", "buoy"))
    ],
    "a name of a module": [
        gone(f"ImportError: cannot import name 'Mapping' from 'collections' ({where}/collections/__init__.py)", m)
        for where, m in ((LIB, "test_a"), ("/usr/lib/python3.16", "test_b"))
    ],
    "an assertion of unittest, in any class": [
        gone(f"AttributeError: '{c}' object has no attribute 'assertEquals'") for c in ("TestA", "TestB")
    ],
    "a class of the module's name": [
        gone("AttributeError: 'anchor.core' object has no attribute 'go'", m) for m in ("test_a", "test_b")
    ],
    "a dependency says no to a keyword": [
        gone("TypeError: render() got an unexpected keyword argument 'x'", inner=f"{SITE}/resin/core.py")
    ],
    "and at another place to another caller's": [
        gone("TypeError: render() got an unexpected keyword argument 'x'", "test_b", "buoy", f"{SITE}/resin/more.py")
    ],
    "a method of a class": [
        gone("AttributeError: 'Thread' object has no attribute 'isAlive'", m) for m in ("test_a", "test_b")
    ],
    "a keyword of a function": [
        gone("TypeError: Random.shuffle() got an unexpected keyword argument 'random'", m) for m in ("test_a", "test_b")
    ],
    "a deprecation that is an error": [gone(UTCNOW), gone(UTCNOW, "test_b")],
    "what got None may have any cause": [gone("AttributeError: 'NoneType' object has no attribute 'group'")],
    "and this another": [gone("AttributeError: 'NoneType' object has no attribute 'group'", inner="/pybots/source/b.py")],
    "a call of some __init__": [gone("TypeError: __init__() got an unexpected keyword argument 'random'")],
    "of some other __init__": [
        gone("TypeError: __init__() got an unexpected keyword argument 'random'", inner="/pybots/source/b.py")
    ],
    "a circular import": [gone("AttributeError: partially initialized module 'anchor' has no attribute 'go'")],
    "another one": [
        gone("AttributeError: partially initialized module 'anchor' has no attribute 'go'", inner="/pybots/source/b.py")
    ],
    "unittest, other line": [sign(UNITTEST.format(line=n, a=4)) for n in (10, 99)],
    "unittest, other value": [sign(UNITTEST.format(line=10, a=5))],
    "pytest long, other line and address": [
        sign(PYTEST_LONG.format(line=n, name="count"), message="assert 4 == 3") for n in (12, 345)
    ],
    "pytest long, other assertion": [sign(PYTEST_LONG.format(line=12, name="size"), message="assert 4 == 3")],
    "pytest short": [sign(PYTEST_SHORT.format(line=n, module="collections"), "collection") for n in (3, 7)],
    "pytest short, other module": [sign(PYTEST_SHORT.format(line=3, module="typing"), "collection")],
    "in a dependency's own frames, whoever calls it": [
        sign(dependency("anchor", "go", 4)), sign(dependency("anchor", "run", 44)),
        sign(dependency("buoy", "go", 4), project="buoy", where="other::test"),
    ],
    "trial": [sign(TRIAL.format(line=n, code=200), type="twisted.trial.unittest.FailTest") for n in (5, 6)],
    "trial, other code": [sign(TRIAL.format(line=5, code=201), type="FailTest")],
    "segfault": [sign(SEGFAULT.format(line=n, function="parse"), "crash", type="Signal") for n in (7, 70)],
    "segfault elsewhere": [sign(SEGFAULT.format(line=7, function="write"), "crash", type="Signal")],
    "chained, other first cause": [sign(CHAINED.format(key=k, line=n)) for k, n in (("a", 4), ("b", 5))],
    "extension, also as another project's dependency": [
        sign(COMPILER.format(line=n, error="too few arguments to function 'PyCode_New'"), "install", project=p)
        for n, p in ((328, "anchor"), (415, "buoy"))
    ],
    "extension, other error": [
        sign(COMPILER.format(line=328, error="unknown type name 'PyCFunction'"), "install")
    ],
    "resolver": [sign(RESOLVER.format(package="nosuch"), "install")],
    "resolver, other package": [sign(RESOLVER.format(package="nonesuch"), "install")],
    "build backend": [
        sign(BACKEND.format(package="anchor", line=n, name="SafeConfigParser"), "install", message=f"uv: exit {n}")
        for n in (14, 41)
    ],
    "build backend, other attribute": [sign(BACKEND.format(package="anchor", line=1, name="readfp"), "install")],
    "cpython": [sign(CPYTHON.format(file="listobject", line=n), "interpreter", project="python") for n in (1, 2)],
    "cpython, other file": [sign(CPYTHON.format(file="dictobject", line=1), "interpreter", project="python")],
    "bare assertion in one test": [sign("", type="AssertionError")],
    "bare assertion in another test": [sign("", type="AssertionError", where="t::b")],
    "bare assertion in another project": [sign("", type="AssertionError", project="buoy")],
    "telling message without frames, any test": [
        sign("", type="ImportError", message="cannot import name 'x' from 'y'", where=w) for w in ("t::a", "t::b")
    ],
    "the same message as a crash": [sign("", "crash", type="ImportError", message="cannot import name 'x' from 'y'")],
    "nothing said at all": [sign(""), sign("")],
    "a hang without a word": [sign("", "timeout", type="Timeout", message="test was ended: wall timeout", where="<tests>")],
    "a hang of another project": [
        sign("", "timeout", type="Timeout", message="test was ended: wall timeout", where="<tests>", project="buoy")
    ],
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES.keys())
def test_one_failure_has_one_signature(family: list[str]) -> None:
    assert len(set(family)) == 1


def test_two_failures_never_share_one() -> None:
    for (one, first), (other, second) in itertools.combinations(FAMILIES.items(), 2):
        assert first[0] != second[0], (one, other)


def test_a_signature_is_a_sha256() -> None:
    assert all(
        len(found) == 64 and int(found, 16) for family in FAMILIES.values() for found in family
    )


def test_frames_are_told_by_owner_and_come_innermost_first() -> None:
    found = frames(dependency())
    assert [(frame.owner, frame.function) for frame in found] == [
        ("Crypto", "update"), ("Crypto", "reseed"), ("source", "go"),
    ]  # fmt: skip
    assert found[0].path == "Crypto/Hash.py"
    assert found[0].text == "hash(data)"


def test_a_crash_dump_starts_with_the_thread_that_crashed() -> None:
    assert [frame.function for frame in frames(SEGFAULT.format(line=3, function="parse"))] == [
        "parse", "test_parse",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (Failure(type="a.b.ConfigError", message="no"), ("ConfigError", "no")),
        (Failure(message="TypeError: bad\nmore"), ("TypeError", "bad\nmore")),
        (Failure(type="Failed", message="ValueError: bad"), ("ValueError", "bad")),
        (Failure(detail="Traceback …\nKeyError: 'x'\n"), ("KeyError", "'x'")),
        (
            Failure(type="TypeError", message="ValueError: inner"),
            ("TypeError", "ValueError: inner"),
        ),
        (Failure(), ("", "")),
    ],
)
def test_type_and_message_wherever_the_runner_put_them(
    failure: Failure, expected: tuple[str, str]
) -> None:
    assert exception_of(failure) == expected


@pytest.mark.parametrize(
    ("log", "text"),
    [
        (COMPILER.format(line=328, error="too few arguments"), "_cmsgpack.cpp: too few arguments"),
        (RESOLVER.format(package="nosuch"), "Because nosuch was not found in the package registry"),
        (BACKEND.format(package="anchor", line=1, name="readfp"), "anchor does not build: AttributeError: module"),
        (CPYTHON.format(file="listobject", line=1), "listobject.c: 'foo' undeclared"),
        ("/usr/bin/ld: x.o: undefined reference to `PyFoo'", "undefined reference to `PyFoo'"),
        ("make: *** No rule to make target 'x'.  Stop.", "No rule to make target 'x'.  Stop."),
        ("checking …\nconfigure: error: no acceptable C compiler", "no acceptable C compiler"),
        (
            "install -m 644 a b\ninstall: cannot stat 'a': No such file\nmake: *** [Makefile:62: x] Error 1",
            "install: cannot stat 'a': No such file",
        ),
    ],
)  # fmt: skip
def test_the_cause_in_a_builds_log(log: str, text: str) -> None:
    assert str(cause(log)).startswith(text)


def test_a_log_that_says_nothing_has_no_cause() -> None:
    assert cause("checking for gcc... yes\nall is well\n") is None


CALLED = """\
Traceback (most recent call last):
  File "{place}/test_core.py", line {line}, in {test}
    go()
  File "/pybots/venv/lib/python3.15/site-packages/anchor/core.py", line 7, in go
    {source}
{said}
"""
INSIDE = "/pybots/venv/lib/python3.15/site-packages/anchor/tests"


@pytest.mark.parametrize(
    "place", [INSIDE, "/pybots/source/tests", "/pybots/source/src/anchor/test"]
)
def test_code_that_fails_is_one_failure_whichever_of_its_packages_tests_call_it(place: str) -> None:
    said = "TypeError: unhashable type: 'array.array'"
    found = {
        sign(CALLED.format(place=place, line=n, test=f"test_{n}", source="h[x]", said=said), where=f"t::{n}")
        for n in range(40)
    }  # fmt: skip
    assert len(found) == 1
    other = CALLED.format(place=place, line=1, test="test_1", source="k[x]", said=said)
    assert sign(other) not in found


def test_a_packages_own_assertions_are_told_apart_by_the_tests_that_call_them() -> None:
    """A library for tests, tested by itself."""
    said = "AssertionError: False is not true"
    found = {
        sign(CALLED.format(place=INSIDE, line=n, test=f"test_{n}", source="fail()", said=said), where=f"t::{n}")
        for n in range(3)
    }  # fmt: skip
    assert len(found) == 3


def wrapped(module: str, line: int = 1, source: str = "def keep(stones, unless):") -> Failure:
    said = WRAPPED.format(module=module, line=line, source=source)
    return Failure(type="ImportError", message=said.partition(": ")[2], detail=said)


def test_a_broken_module_is_one_failure_in_all_test_modules_that_import_it() -> None:
    """unittest puts the test module's name before what the module really raised."""
    found = {
        signature("collection", failure, project="moss", where=failure.message[:60])
        for failure in (wrapped("test_a"), wrapped("test_b", line=9))
    }
    assert len(found) == 1
    other = wrapped("test_a", source="def drop(stones, unless):")
    assert signature("collection", other, project="moss", where="tests.test_a") not in found
    assert exception_of(wrapped("test_a")) == ("SyntaxError", "invalid syntax")

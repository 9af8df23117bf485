"""Single values: what passes and what does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic_core import PydanticCustomError

from pybots.config import checks

GOOD: list[tuple[Callable[[str], str], list[str]]] = [
    (checks.mail_address, ["a@b", "root@localhost", "o'neil+bots@example.org", "a.b@x-y.example"]),
    (
        checks.git_address,
        [
            "https://github.com/python/cpython",
            "ssh://git@example.org:22/x.git",
            "git://example.org/x",
            "file:///srv/x.git",
            "/srv/with space/x.git",
        ],
    ),
    (checks.branch, ["main", "3.14", "feature/a-b", "v3.15.0a1", "dependabot/pip/x_y"]),
    (checks.farm_address, ["http://127.0.0.1:8010/", "https://bots.example.org/py/"]),
    (
        checks.requirement,
        ["pytest", "x[y]>=1,<2; python_version<'3.15'", "x @ https://e.org/x.zip"],
    ),
    (checks.relative, [".", "a/b", "..a/b"]),
    (checks.host, ["127.0.0.1", "::1", "::", "mail.example.org", "localhost"]),
    (checks.variable, ["TZ", "_X1"]),
]

BAD: list[tuple[Callable[[str], str], list[str]]] = [
    (
        checks.mail_address,
        [
            "",
            "a",
            "@b",
            "a@",
            "a@b@c",
            "a b@c",
            "a@b\n",
            "a@b\r\nX: y",
            "a@b,c@d",
            "é@b",
            '"a b"@c',
            "a@[b]",
            "a@b" + "c" * 300,
        ],
    ),
    (
        checks.git_address,
        [
            "",
            "x",
            "-x",
            "--upload-pack=x",
            "ext::sh",
            "git@h:x",
            "https:///x",
            "file://host/x",
            "https://u@h/x",
            "https://h:port/x",
            "ssh://-oProxyCommand=x/y",
            "http://h/ x",
            "/x\ny",
        ],
    ),
    (
        checks.branch,
        ["", "-x", "a..b", "a b", "a~1", "x.lock", "/x", "x/", "a//b", "@", "refs/heads/x", "a\\b"],
    ),
    (checks.farm_address, ["", "ftp://x/", "https://x/?a", "https://x/#a", "//x/", "https://"]),
    (checks.requirement, ["", "-r x", "--pre", "a b", "./x", "https://e.org/x.zip"]),
    (checks.relative, ["", "/x", "..", "a/../b", "a\x00"]),
    (checks.host, ["", "a b", "-x", "x/y"]),
    (checks.variable, ["", "1X", "A=B", "PATH", "LD_PRELOAD", "UV_INDEX", "PYBOTS_X"]),
]


def _cases(table: list[tuple[Callable[[str], str], list[str]]]) -> list[tuple[object, str]]:
    return [(check, value) for check, values in table for value in values]


@pytest.mark.parametrize(("check", "value"), _cases(GOOD))
def test_a_good_value_is_returned_as_it_is(check: Callable[[str], str], value: str) -> None:
    assert check(value) == value


@pytest.mark.parametrize(("check", "value"), _cases(BAD))
def test_a_bad_value_is_refused_with_a_mend(check: Callable[[str], str], value: str) -> None:
    with pytest.raises(PydanticCustomError) as refused:
        check(value)
    assert refused.value.context and refused.value.context["mend"]

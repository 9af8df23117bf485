"""The registry's table: what is counted where, whose words are quoted how, and what is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pybots.laptop import suites, table
from pybots.laptop.suites import Result

DAY = 1_790_000_000.0


def make_result(**changes: Any) -> Result:
    given: dict[str, Any] = {
        "project": "genshi", "source": "release", "runner": "unittest", "revision": "0.7.12", "key": "k",
        "python": "3.15.0a1", "when": DAY, "system": "Debian", "cores": 2, "tests": 10, "passed": 7,
        "failed": 1, "skipped": 1, "xfailed": 1, "failures": ("a.B.test_c",), "seconds": 10.0, "cpu": 15.0,
        "cold": 8.0, "warm": 2.0,
    }  # fmt: skip
    return Result(**{**given, **changes})


def row(text: str, name: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {name} "))
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_both_sides_of_a_project_stand_in_one_row() -> None:
    control = make_result(python="3.11.2", failed=0, passed=8, failures=(), cold=None, warm=None)
    text = table.render([make_result()], [control])
    assert row(text, "genshi") == [
        "genshi", "unittest", "0.7.12", "10", "8", "**1**", "1", "10", "9", "0", "1", "10", "1.5", "8.0", "2.0", "0.25",
    ]  # fmt: skip
    assert "CPython 3.15.0a1; control: the system's own CPython 3.11.2" in text
    assert "- genshi on CPython 3.15.0a1: `a.B.test_c`" in text
    assert "0.25 of the time with cold ones, on average over 1 projects" in text


def test_cpython_itself_is_not_installed_and_not_timed() -> None:
    own = make_result(project="cpython", source="own", cold=0.2, warm=0.25)
    text = table.render([own, make_result()], [])
    assert row(text, "cpython (own)")[-3:] == ["–"] * 3
    assert "0.25 of the time with cold ones, on average over 1 projects" in text


def test_a_failure_on_both_sides_is_marked() -> None:
    text = table.render([make_result()], [make_result(python="3.11.2")])
    assert text.count("`a.B.test_c` (on both)") == 2


def test_what_the_file_does_not_explain_is_open() -> None:
    file = 'title = "Genshi"\n# Known red: test_c wants\n# an older lxml.\n\n# Another remark.\n[test]\n'
    text = table.render([make_result()], [], {"genshi": file})
    assert "  - [its file](genshi.toml): Known red: test_c wants an older lxml.\n" in text
    assert "  - **open**: not explained" in table.render([make_result()], [])
    green = make_result(failed=0, failures=())
    assert "Known red" not in table.render([green], [], {"genshi": file})


def test_what_could_not_run_is_shown_with_its_reason() -> None:
    trouble = make_result(tests=0, failures=(), trouble="install: `uv` failed | badly", cold=None)
    text = table.render([trouble], [])
    assert row(text, "genshi")[3:7] == ["0", "–", "**install**", "–"]
    assert "- genshi on CPython 3.15.0a1: `install: 'uv' failed | badly`" in text
    assert row(text, "genshi")[7:11] == ["–"] * 4 and "Installing was not timed" in text


def test_strangers_words_cannot_leave_their_place() -> None:
    hostile = "x`\n| <script> | [a](b)"
    text = table.render([make_result(failures=(hostile,), revision="1|2")], [])
    assert "`x' | <script> | [a](b)`" in text and "1\\|2" in text
    assert len([line for line in text.splitlines() if line.startswith("| genshi")]) == 1


def test_many_failures_are_counted() -> None:
    names = tuple(f"t{number}" for number in range(9))
    assert "`t4` and 4 more" in table.render([make_result(failures=names)], [])


def test_a_page_keeps_everything_but_the_section() -> None:
    page = f"before\n{table.BEGIN}\nold \\1\n{table.END}\nafter\n"
    assert table.put_in(page, "new \\1\n") == page.replace("old", "new")
    with pytest.raises(ValueError, match="has no section"):
        table.put_in("nothing", "new")


def test_results_are_kept_as_they_were(tmp_path: Path) -> None:
    path = suites.path_of(tmp_path / "table", "genshi", "release", "python")
    assert suites.load(path) is None
    suites.save(path, make_result())
    path.with_name("moss.release.python.json").write_text("{")
    assert list(suites.load_all(path.parent, "python")) == [make_result()]
    assert list(suites.load_all(path.parent, "control")) == []


def test_the_registrys_page_has_its_place() -> None:
    page = (Path(__file__).parents[3] / "projects" / "README.md").read_text(encoding="utf-8")
    assert "new\n" in table.put_in(page, "new\n")

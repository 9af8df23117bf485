"""How boxes find their places: pillars, platform summaries, strips, the waterfall's rows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from status_html import parse

from pybots_status.pages import (
    Cell,
    Column,
    ColumnGroup,
    CommitRow,
    Console,
    LaneHead,
    State,
    Strip,
    Waterfall,
    WaterfallPhase,
    WaterfallRun,
    worst,
)
from pybots_status.render import render
from pybots_status.samples import SAMPLES
from pybots_status.samples.common import commit, frame, sha
from pybots_status.views import STRIPS_SHOWN, fold, strip_words, summary, view
from pybots_status.waterfall import MAX_ROWS, Row, lay_out


def make_console(*rows: tuple[Cell, ...], expanded: bool = False) -> Console:
    columns = tuple(
        Column(short=f"c{n}", title=f"column {n}", now=Cell()) for n in range(len(rows[0]))
    )
    base = Console(
        frame=frame("Console"),
        groups=(ColumnGroup(title="Linux", columns=columns),),
        rows=tuple(
            CommitRow(sha=sha(n), author="A", title="t", cells=cells)
            for n, cells in enumerate(rows)
        ),
    )
    return replace(base, filters=replace(base.filters, expanded=expanded))


PILLAR = (
    (Cell(state="new_failure", count=2, joined_below=True),),
    (Cell(state="new_failure", count=2, joined_above=True),),
)


def _cell_classes(page: Console) -> list[str]:
    found = parse(render(page))
    return [
        td.attributes["class"]
        for td in found.all("td")
        if "c" in td.attributes.get("class", "").split()
    ]


def test_joined_boxes_get_classes_and_no_rowspan() -> None:
    html = render(make_console(*PILLAR))
    assert _cell_classes(make_console(*PILLAR))[1:] == ["c g jb", "c g ja"]
    assert "rowspan" not in html


def test_each_row_of_a_pillar_says_its_state() -> None:
    found = parse(render(make_console(*PILLAR)))
    words = [
        td.words() for td in found.all("td") if td.attributes.get("class", "").startswith("c g j")
    ]
    assert words == ["F2new failure 2"] * 2


def test_an_expanded_page_has_no_pillars_and_shows_messages() -> None:
    page = make_console(*PILLAR, expanded=True)
    page = replace(page, rows=tuple(replace(row, message="why it was done") for row in page.rows))
    assert _cell_classes(page)[1:] == ["c g", "c g"]
    assert render(page).count("why it was done") == 2
    collapsed = replace(page, filters=replace(page.filters, expanded=False))
    assert "why it was done" not in render(collapsed)


def test_a_row_with_a_wrong_number_of_cells_is_refused() -> None:
    page = make_console((Cell(),), (Cell(), Cell()))
    with pytest.raises(ValueError, match="2 cells for 1 columns"):
        render(page)


def test_the_same_number_of_cells_in_every_row() -> None:
    found = parse(render(SAMPLES["console"]))
    table = found.all("table")[0]
    bodies = [body.children[0] for body in table.all("tbody")]
    assert {len(row.children) for row in bodies} == {1 + 26 + 7}


def test_only_loud_boxes_are_tab_stops() -> None:
    page = make_console(
        (Cell(state="passed", href="/run/1"), Cell(state="new_failure", href="/run/2"))
    )
    stops = {
        a.attributes["href"]: a.attributes.get("tabindex") for a in parse(render(page)).all("a")
    }
    assert stops["/run/1"] == "-1"
    assert stops["/run/2"] is None


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ((), "none"),
        (("passed", "none"), "passed"),
        (("passed", "queued"), "queued"),
        (("passed", "still_failing", "new_failure"), "new_failure"),
        (("running", "infra"), "infra"),
        (("passed", "unknown"), "unknown"),
    ],
)  # fmt: skip
def test_the_worst_state_speaks_for_several(states: tuple[State, ...], expected: State) -> None:
    assert worst(states) == expected


def test_a_summary_counts_loud_boxes_only() -> None:
    assert summary((Cell(state="infra"), Cell(state="infra"), Cell(state="passed"))).count == 2
    assert summary((Cell(state="passed"), Cell(state="passed"))).count == 0


def test_a_strip_is_also_said_in_words() -> None:
    strip = Strip(
        name="x",
        href="/project/x",
        cells=(Cell(state="passed"), Cell(state="passed"), Cell(state="infra"), Cell()),
    )
    assert strip_words(strip) == "1 infrastructure error, 2 passed"
    assert strip_words(replace(strip, cells=())) == "no data"


def test_many_projects_fold_and_many_columns_scroll() -> None:
    shown = view(SAMPLES["console-200-columns"])
    assert (len(shown["strips"]), len(shown["more_strips"])) == (16, 24)
    assert shown["wide"]
    assert not view(SAMPLES["console"])["wide"]


# The waterfall


def make_run(
    start: float, *phases: tuple[str, float | None], lane: int = 0, number: int = 1
) -> WaterfallRun:
    """A run whose phases (name, end) follow each other without a gap."""
    made, when = [], start
    for name, end in phases:
        made.append(WaterfallPhase(name=name, state="passed", started=when, finished=end))
        when = end or when
    finished = phases[-1][1] if phases else None
    return WaterfallRun(
        lane=lane, id=number, state="running", started=start, finished=finished, phases=tuple(made)
    )


def rows_of(*runs: WaterfallRun, lanes: int = 1) -> tuple[Row, ...]:
    heads = tuple(LaneHead(slug=f"l{n}", lines=("x",), last=Cell()) for n in range(lanes))
    page = Waterfall(frame=frame("Waterfall"), lanes=heads, runs=runs)
    return lay_out(page, {run.id: f"/run/{run.id}" for run in runs})


def drawn(rows: tuple[Row, ...], lane: int = 0) -> list[str]:
    """A lane from top to bottom; `^` goes on above, `v` goes on below."""
    return [
        "+".join(f"{b.text}{'^' * b.joined_above}{'v' * b.joined_below}" for b in row.cells[lane])
        for row in rows
    ]


def test_phases_stand_above_their_start_newest_on_top() -> None:
    assert drawn(rows_of(make_run(100, ("build", 110), ("test", 120)))) == [
        "",
        "test",
        "build",
        "run 1",
    ]


def test_a_running_phase_reaches_the_top() -> None:
    other = make_run(115, ("x", 130), lane=1, number=2)
    rows = rows_of(make_run(100, ("build", 110), ("test", None)), other, lanes=2)
    assert drawn(rows) == ["testv", "test^v", "test^v", "test^", "build", "run 1"]


def test_the_moment_between_two_steps_is_no_row() -> None:
    """Half a second passes before a phase begins; a pause of minutes is shown as one."""
    phases = [(100.5, 110.0), (110.5, 120.0), (300.0, 310.0)]
    made = tuple(
        WaterfallPhase(name=f"p{n}", state="passed", started=start, finished=end)
        for n, (start, end) in enumerate(phases)
    )
    run = WaterfallRun(lane=0, id=1, state="passed", started=100, finished=310, phases=made)
    assert drawn(rows_of(run)) == ["", "p2", "", "p1", "p0", "run 1"]
    assert [box.seconds for row in rows_of(run) for box in row.cells[0]] == [10, 9.5, 9.5, None]


def test_a_phase_that_took_no_time_still_shows() -> None:
    assert "x" in "".join(drawn(rows_of(make_run(100, ("x", 100), ("y", 100)))))


def test_phases_leave_no_gap_when_another_lane_starts_at_their_border() -> None:
    other = make_run(110, ("x", 130), lane=1, number=2)
    lane = drawn(rows_of(make_run(100, ("build", 110), ("test", 120)), other, lanes=2))
    first = next(i for i, words in enumerate(lane) if words)
    assert all(lane[first:])


def test_two_runs_at_once_stand_side_by_side() -> None:
    rows = rows_of(make_run(100, ("a", 120)), make_run(105, ("b", 120), number=2))
    assert any(len(row.cells[0]) == 2 for row in rows)


def test_a_run_without_phases_is_one_box() -> None:
    assert drawn(rows_of(make_run(100))) == ["run 1", "run 1"]


def test_old_rows_are_left_out() -> None:
    runs = [make_run(100.0 * n, ("x", 100.0 * n + 50), number=n) for n in range(1, 200)]
    assert len(rows_of(*runs)) == MAX_ROWS


def test_commits_stand_in_the_row_of_their_arrival() -> None:
    page = Waterfall(frame=frame("w"), lanes=(), commits=(commit(0), commit(1)))
    rows = lay_out(page, {})
    assert [row.commits[0].sha for row in rows] == [sha(0), sha(1)]
    assert [row.new_day for row in rows] == [True, False]


def test_a_project_in_trouble_is_never_folded_away_for_one_that_is_well() -> None:
    green, red = Cell(state="passed"), Cell(state="still_failing")
    many = tuple(
        Strip(name=f"p{n:02}", href="", cells=(green, red if n in (3, 29) else green))
        for n in range(30)
    )
    shown, folded = fold(many)
    assert len(shown) == STRIPS_SHOWN and len(folded) == 30 - STRIPS_SHOWN
    assert [strip.name for strip in shown][-1] == "p29" and "p03" in {one.name for one in shown}
    assert [one.name for one in shown] == sorted(one.name for one in shown)
    assert fold(many[:5]) == (many[:5], ())

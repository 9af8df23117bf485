"""Sample consoles: a busy farm, an empty one, a first run, one lane, two hundred, a dead master."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pybots_status import links
from pybots_status.pages import (
    Banner,
    Bullet,
    Cell,
    Column,
    ColumnGroup,
    CommitRow,
    Console,
    Fact,
    Filters,
    Link,
    Notice,
    Page,
    State,
    Strip,
)
from pybots_status.samples.common import GREEN, commit, frame, noted

PLATFORMS: Final = (
    ("Linux x86-64", ("rel", "dbg", "ft", "jit", "lto", "asan")),
    ("Linux arm64", ("rel", "dbg", "ft", "jit")),
    ("Windows x64", ("rel", "dbg", "ft", "jit")),
    ("Windows arm64", ("rel", "ft")),
    ("macOS arm64", ("rel", "dbg", "ft", "jit")),
    ("macOS x64", ("rel",)),
    ("Tier 3", ("s390x", "ppc64", "fbsd", "rpi", "wasi")),
)
PROJECTS: Final = (
    "twisted",
    "django",
    "sqlalchemy",
    "genshi",
    "lxml",
    "numpy",
    "requests",
    "pytest",
)

ERRORS: Final = (
    "test_cli.test_commands: AssertionError: ['run', 'test'] != ['test', 'run']",
    "4 tests: TypeError: add_parser() got an unexpected keyword argument 'order'",
    "test_help_text: AttributeError: 'list' object has no attribute 'keys'",
)

# (column, newest row, oldest row, state, count): what differs from "passed".
_STORY: Final[tuple[tuple[int, int, int, State, int], ...]] = (
    (0, 0, 0, "none", 0),
    (0, 1, 1, "running_failing", 0),
    (0, 9, 9, "still_failing", 7),
    (0, 10, 11, "new_failure", 7),
    (3, 0, 0, "queued", 0),
    (4, 2, 2, "fixed", 0),
    (4, 3, 16, "still_failing", 1),
    (4, 17, 17, "new_failure", 1),
    (5, 0, 0, "queued", 0),
    (6, 0, 0, "running", 0),
    (8, 10, 12, "still_failing", 3),
    (8, 13, 13, "new_failure", 3),
    (8, 9, 9, "fixed", 0),
    (9, 8, 8, "infra", 0),
    (12, 4, 4, "blocked", 1),
    (13, 0, 0, "running", 0),
    (13, 10, 10, "flaky", 0),
    (14, 0, 2, "still_failing", 3),
    (14, 3, 3, "new_failure", 3),
    (16, 9, 14, "still_failing", 3),
    (16, 15, 17, "new_failure", 3),
    (17, 0, 0, "unknown", 0),
    (20, 0, 4, "offline", 0),
    (21, 0, 29, "no_worker", 0),
    (24, 5, 20, "still_failing", 1),
    (25, 0, 29, "refused", 0),
)


def groups(
    platforms: tuple[tuple[str, tuple[str, ...]], ...] = PLATFORMS, state: State = "passed"
) -> tuple[ColumnGroup, ...]:
    """Column groups with every `now` box in one state."""
    return tuple(
        ColumnGroup(
            title=title,
            columns=tuple(
                Column(short=short, title=f"{short} on {title}", now=Cell(state=state))
                for short in shorts
            ),
        )
        for title, shorts in platforms
    )


def _state(column: int, row: int) -> tuple[State, int]:
    for where, newest, oldest, state, count in _STORY:
        if where == column and newest <= row <= oldest:
            return state, count
    return "passed", 0


def _joined(column: int, row: int) -> bool:
    """Whether the run of this row also covers the next older one: same state, and a busy worker."""
    alike = _state(column, row)[0] == _state(column, row + 1)[0]
    settled = _state(column, row)[0] in ("passed", "new_failure", "still_failing")
    return alike and settled and (row * 3 + column * 5) % (3 + column % 4) == 0


def _cell(column: int, row: int) -> Cell:
    state, count = _state(column, row)
    ran = state not in ("none", "queued", "no_worker", "refused", "offline", "unknown")
    return Cell(
        state=state,
        count=count,
        href=links.run(90_000 - row * 40 - column) if ran else "",
        joined_above=row > 0 and _joined(column, row - 1),
        joined_below=_joined(column, row),
    )


def _column_title(column: int) -> str:
    titles = [f"{short} on {platform}" for platform, shorts in PLATFORMS for short in shorts]
    return titles[column]


def _projects(column: int, count: int) -> tuple[str, ...]:
    """The projects that a story of `count` projects is about."""
    return tuple(PROJECTS[(column + 2 + 3 * number) % len(PROJECTS)] for number in range(count))


def _bullets(row: int) -> tuple[Bullet, ...]:
    return tuple(
        Bullet(
            where=project,
            text=ERRORS[number % len(ERRORS)],
            links=(
                Link(text=_column_title(column), href=links.run(90_000 - row * 40 - column)),
                Link(text="breakage", href=links.breakage(17)),
            ),
        )
        for column, newest, _, state, count in _STORY
        if newest == row and state == "new_failure"
        for number, project in enumerate(_projects(column, count))
    )


def rows(count: int, width: int) -> tuple[CommitRow, ...]:
    """`count` commits with `width` cells each."""
    return tuple(
        CommitRow(
            sha=commit(row).sha,
            author=commit(row).author,
            title=commit(row).title,
            message="Reviewed by two people.\nThe old name stays for one more release.",
            when=commit(row).when,
            cells=tuple(_cell(column, row) for column in range(width)),
            bullets=_bullets(row),
            mine=row == 6,
        )
        for row in range(count)
    )


def _strips(names: tuple[str, ...], width: int) -> tuple[Strip, ...]:
    odd: tuple[State, ...] = ("still_failing", "infra", "new_failure", "running", "blocked", "none")
    return tuple(
        Strip(
            name=name,
            href=links.project(name),
            cells=tuple(
                Cell(
                    state=odd[(index + column) % 6]
                    if (column * 7 + index * 5) % 13 == 0
                    else "passed"
                )
                for column in range(width)
            ),
        )
        for index, name in enumerate(names)
    )


def _last_known() -> tuple[Strip, ...]:
    """The busy console's strips: what its `now` row sums up and its banner counts."""
    return tuple(
        Strip(
            name=name,
            href=links.project(name),
            cells=tuple(Cell(state=_last(name, column)) for column in range(26)),
        )
        for name in PROJECTS
    )


def _last(project: str, column: int) -> State:
    """The newest result of a lane, by the story of its column."""
    for where, newest, _, state, count in _STORY:
        if where == column and newest == 0 and state in ("offline", "no_worker", "refused"):
            return state
        if where == column and newest == 0 and state == "still_failing":
            return state if project in _projects(column, count) else "passed"
    return "passed"


def busy(*, expanded: bool = False, count: int = 30) -> Console:
    """`count` commits × 26 columns, every state somewhere."""
    now = tuple(
        replace(
            group,
            columns=tuple(
                replace(column, now=_now(group.title, column.short)) for column in group.columns
            ),
        )
        for group in groups()
    )
    return Console(
        frame=frame(
            "Console",
            view="console",
            banner=noted(),
            notices=(Notice(text="Thursday 09:00: the s390x worker is away for a reboot."),),
        ),
        groups=now,
        rows=rows(count, 26),
        strips=_last_known(),
        filters=_filters(expanded=expanded),
        older=links.console(branch="main", before=commit(30).sha),
        permalink=links.console(branch="main", at=commit(0).sha),
    )


def _now(platform: str, short: str) -> Cell:
    states: dict[tuple[str, str], State] = {
        ("Windows arm64", "rel"): "still_failing",
        ("macOS x64", "rel"): "offline",
        ("Tier 3", "s390x"): "no_worker",
        ("Tier 3", "wasi"): "refused",
    }
    return Cell(state=states.get((platform, short), "passed"), href=links.waterfall())


def _filters(*, expanded: bool = False) -> Filters:
    return Filters(
        expanded=expanded,
        projects=PROJECTS,
        flavours=("release", "debug", "freethreaded", "jit"),
        platforms=("linux-x86_64", "linux-aarch64"),
    )


def empty() -> Console:
    """A farm nobody has given anything to do."""
    banner = Banner(state="unknown", text="Nothing is known about main yet")
    return Console(frame=frame("Console", view="console", banner=banner))


def first_run() -> Console:
    """The first interpreter is being built."""
    first = replace(rows(2, 1)[0], cells=(Cell(state="running", href=links.run(1)),), bullets=())
    second = replace(rows(2, 1)[1], cells=(Cell(state="queued"),), bullets=(), mine=False)
    return Console(
        frame=frame(
            "Console",
            view="console",
            banner=Banner(state="running", text="First run: main is being built"),
        ),
        groups=groups((("Linux x86-64", ("rel",)),), state="running"),
        rows=(first, second),
        strips=tuple(
            Strip(name=name, href=links.project(name), cells=(Cell(state="queued"),))
            for name in PROJECTS[:4]
        ),
        progress=(
            Fact(
                name="interpreter release", value="compile, 40 s of about 95 s", href=links.run(1)
            ),
            Fact(name="waiting", value="4 projects, about 3 minutes"),
        ),
        filters=_filters(),
    )


def one_lane() -> Console:
    """A farm of one project on one platform with one flavour."""
    shown = tuple(
        replace(row, cells=(Cell(state="passed", href=links.run(9)),), bullets=())
        for row in rows(5, 1)
    )
    return Console(
        frame=frame(
            "Console",
            view="console",
            banner=Banner(state="passed", text="main builds; 1 of 1 project passes"),
        ),
        groups=groups((("Linux x86-64", ("rel",)),)),
        rows=shown,
        strips=(
            Strip(name="twisted", href=links.project("twisted"), cells=(Cell(state="passed"),)),
        ),
        filters=_filters(),
    )


def many() -> Console:
    """Forty projects on two hundred columns."""
    platforms = tuple(
        (f"Platform {number}", tuple(f"f{n}" for n in range(20))) for number in range(10)
    )
    names = tuple(f"project-{number:02}" for number in range(40))
    return Console(
        frame=frame("Console", view="console"),
        groups=groups(platforms),
        rows=rows(8, 200),
        strips=_strips(names, 200),
        filters=_filters(),
    )


def master_down() -> Console:
    """The busy console as the web process shows it while the master is down."""
    page = busy(count=8)
    banner = Banner(
        state="unknown", text="main: 5 of 8 projects passed when the master was last seen"
    )
    return replace(page, frame=frame("Console", view="console", banner=banner, alive=False))


def no_workers() -> Console:
    """Commits arrive and nobody is there to build them."""
    shown = tuple(
        replace(row, cells=tuple(Cell(state="no_worker") for _ in range(3)), bullets=())
        for row in rows(6, 3)
    )
    notice = Notice(
        text="No worker has joined: nothing can be built. How to join",
        level="warning",
        href=links.JOIN,
    )
    banner = Banner(state="unknown", text="main: no lane has a worker; 3 unknown")
    return Console(
        frame=frame("Console", view="console", banner=banner, notices=(notice,)),
        groups=groups((("Linux x86-64", ("rel", "dbg", "ft")),), state="no_worker"),
        rows=shown,
        filters=_filters(),
    )


def nothing_matches() -> Console:
    """Filters that leave nothing."""
    return Console(
        frame=frame("Console", view="console", banner=GREEN),
        groups=groups(),
        filters=replace(_filters(), who="nobody", only_bad=True),
    )


SAMPLES: Final[dict[str, Page]] = {
    "console": busy(),
    "console-expanded": busy(expanded=True, count=8),
    "console-empty": empty(),
    "console-first-run": first_run(),
    "console-one-lane": one_lane(),
    "console-200-columns": many(),
    "console-master-down": master_down(),
    "console-no-workers": no_workers(),
    "console-nothing-matches": nothing_matches(),
}

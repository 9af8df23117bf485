"""Who is told what, and in which thread."""

from __future__ import annotations

import pytest

from pybots.core.alerts import Book, Closed, Letter, Touch, of_build, of_fault, of_run

BOOK = Book(
    list="list@x", admin="admin@x",
    projects={"anchor": ("a@x", "shared@x"), "buoy": ("b@x", "shared@x"), "mute": ()},
)  # fmt: skip


def opened(number: int) -> Touch:
    return Touch(breakage=number, how="opened", thread="<new>", new_project=True)


def joined(number: int, *, new_project: bool) -> Touch:
    return Touch(breakage=number, how="joined", thread=f"<t{number}>", new_project=new_project)


def reopened(number: int) -> Touch:
    return Touch(breakage=number, how="reopened", thread=f"<t{number}>")


def closed(number: int, thread: str = "", *, open: bool = False) -> Closed:
    return Closed(
        breakage=number,
        thread=thread or f"<t{number}>",
        projects=("anchor", "buoy"),
        thread_open=open,
    )


def run(*touched: Touch, fixed: tuple[Closed, ...] = (), project: str = "anchor") -> list[Letter]:
    return of_run(7, project, touched, fixed, BOOK)


def test_a_new_failure_goes_to_the_list_and_the_project() -> None:
    (letter,) = run(opened(1))
    assert (letter.topic, letter.audience, letter.thread) == ("new", "list", "")
    assert letter.recipients == ("list@x", "a@x", "shared@x")


def test_all_news_of_one_run_are_one_letter() -> None:
    (letter,) = run(opened(1), opened(2), joined(3, new_project=True), reopened(4))
    assert letter.breakages == (1, 2, 3, 4)


def test_a_breakage_that_is_back_answers_in_its_old_thread() -> None:
    (letter,) = run(reopened(4))
    assert (letter.topic, letter.thread) == ("again", "<t4>")


def test_another_project_is_told_alone_and_in_the_thread() -> None:
    (letter,) = run(joined(3, new_project=True), project="buoy")
    assert (letter.topic, letter.audience, letter.thread) == ("joined", "project", "<t3>")
    assert letter.recipients == ("b@x", "shared@x")


def test_another_lane_of_a_project_that_knows_is_no_news() -> None:
    assert run(joined(3, new_project=False)) == []


def test_a_project_without_addresses_costs_no_letter() -> None:
    assert run(joined(3, new_project=True), project="mute") == []
    (letter,) = run(opened(1), project="mute")
    assert letter.recipients == ("list@x",)


def test_nothing_new_and_nothing_fixed_is_silence() -> None:
    """Still failing, flaky, passed, unknown: they touch no breakage."""
    assert run() == []


def test_a_fix_goes_to_everybody_who_was_told() -> None:
    (letter,) = run(fixed=(closed(1),))
    assert (letter.topic, letter.thread) == ("fixed", "<t1>")
    assert letter.recipients == ("list@x", "a@x", "shared@x", "b@x")


def test_a_thread_is_closed_by_its_last_breakage_only() -> None:
    assert run(fixed=(closed(1, "<t>", open=True),)) == []
    (letter,) = run(fixed=(closed(1, "<t>"), closed(2, "<t>")))
    assert letter.breakages == (1, 2)


def test_an_interpreter_that_does_not_build_goes_to_the_list() -> None:
    (letter,) = of_build(7, [opened(1)], [], first_ever=False, book=BOOK)
    assert (letter.topic, letter.recipients) == ("unbuilt", ("list@x",))


def test_the_same_in_another_flavour_is_no_second_letter() -> None:
    assert of_build(7, [joined(1, new_project=False)], [], first_ever=False, book=BOOK) == []


def test_the_first_interpreter_of_its_kind_is_for_the_admin() -> None:
    (letter,) = of_build(7, [], [], first_ever=True, book=BOOK)
    assert (letter.topic, letter.audience, letter.recipients) == (
        "unbuilt_first",
        "admin",
        ("admin@x",),
    )


def test_an_interpreter_that_builds_again_answers_in_the_thread() -> None:
    done = Closed(breakage=1, thread="<t1>")
    (letter,) = of_build(7, [], [done], first_ever=False, book=BOOK)
    assert (letter.topic, letter.thread, letter.recipients) == ("built_again", "<t1>", ("list@x",))


def test_the_farms_faults_are_for_the_admin_once_a_day_and_worker() -> None:
    letters = [of_fault(w, d, BOOK)[0] for w, d in (("a", "1"), ("a", "1"), ("a", "2"), ("b", "1"))]
    assert {letter.recipients for letter in letters} == {("admin@x",)}
    assert len({letter.key for letter in letters}) == 3


@pytest.mark.parametrize("book", [Book(), Book(projects={"anchor": ("",)})])
def test_nobody_to_tell_is_no_letter(book: Book) -> None:
    assert of_run(7, "anchor", [opened(1)], [closed(2)], book) == []
    assert of_fault("w", "1", book) == []

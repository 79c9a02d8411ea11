"""F2: when what assignees have said completes a task, and who they are after a change."""

from uuid import UUID

import pytest
from tasks_service.assignees.rules import (
    columns_of,
    first_status,
    is_reopened,
    is_satisfied,
    status_after_answer,
    status_after_assignment,
    with_more,
    with_primary,
    without,
)

A, B, C = (UUID(int=number) for number in (1, 2, 3))
STATUSES = (("later", "backlog"), ("todo", "todo"), ("doing", "in_progress"), ("shipped", "done"), ("done", "done"))


@pytest.mark.parametrize(
    ("states", "of_any", "of_all", "of_two"),
    [
        ("", False, False, False),
        ("p", False, False, False),
        ("x", False, False, False),
        ("xx", False, False, False),
        ("px", False, False, False),
        ("d", True, True, False),
        ("dp", True, False, False),
        ("dx", True, True, False),
        ("dpx", True, False, False),
        ("dd", True, True, True),
        ("ddp", True, False, True),
        ("ddx", True, True, True),
        ("ddd", True, True, True),
        ("dxx", True, True, False),
    ],
)
def test_f2_each_policy_with_each_mix_of_states(states, of_any, of_all, of_two):
    said = [{"p": "pending", "d": "done", "x": "declined"}[one] for one in states]
    assert [is_satisfied(policy, said) for policy in ("any", "all", "quorum:2")] == [of_any, of_all, of_two]
    assert is_satisfied("quorum:1", said) is of_any
    assert is_satisfied("quorum:99", said) is False


def test_f2_a_quorum_of_two_digits():
    assert is_satisfied("quorum:12", ["done"] * 12) is True
    assert is_satisfied("quorum:12", ["done"] * 11) is False


def test_f1_the_primary_one_comes_first_and_nobody_twice():
    assert with_primary([A, B], B) == [B, A]
    assert with_primary([A, B], C) == [C, A, B]
    assert with_more([A, B], [C]) == [A, B, C]
    assert with_more([A, B], [A]) == [A, B]
    assert without([A, B, C], {A, C}) == [B]
    assert columns_of([B, A]) == {"assignees": [B, A], "assigned_to": B}
    assert columns_of([]) == {"assignees": [], "assigned_to": None}


def test_f2_the_first_status_of_the_first_category_that_has_one():
    assert first_status(STATUSES, "done") == "shipped"
    assert first_status(STATUSES, "cancelled") is None
    assert first_status(STATUSES, "cancelled", "backlog", "done") == "later"


def task(category="todo", policy="all", *, reopens=False, statuses=STATUSES):
    return {
        "status_category": category,
        "completion_policy": policy,
        "reopen_on_assign": reopens,
        "statuses": statuses,
    }


def test_f2_only_an_open_task_is_completed_by_answers():
    for category, status in (("backlog", "shipped"), ("todo", "shipped"), ("in_progress", "shipped")):
        assert status_after_answer(task(category), ["done", "declined"]) == status
    for category in ("done", "cancelled"):
        assert status_after_answer(task(category), ["done"]) is None
    assert status_after_answer(task(), ["done", "pending"]) is None
    assert status_after_answer(task(statuses=STATUSES[:3]), ["done"]) is None


def test_f2_one_more_opens_a_completed_task_of_all_when_it_says_so():
    more = ({A: "done"}, [A, B])
    assert status_after_assignment(task("done", reopens=True), *more) == "todo"
    assert status_after_assignment(task("done", reopens=True, statuses=(STATUSES[0], STATUSES[3])), *more) == "later"
    assert status_after_assignment(task("done"), *more) is None
    assert status_after_assignment(task("done", "any", reopens=True), *more) is None
    assert status_after_assignment(task("done", "quorum:2", reopens=True), *more) is None
    assert status_after_assignment(task("cancelled", reopens=True), *more) is None
    assert status_after_assignment(task("done", reopens=True), {A: "done", B: "done"}, [A]) is None


def test_f2_one_less_leaves_those_who_are_done():
    assert status_after_assignment(task(), {A: "done", B: "pending"}, [A]) == "shipped"
    assert status_after_assignment(task(), {A: "done", B: "pending"}, [A, C]) is None
    assert status_after_assignment(task(), {A: "done", B: "pending"}, [B]) is None
    assert status_after_assignment(task(), {A: "done"}, []) is None
    assert status_after_assignment(task(), {A: "done", B: "pending"}, [B, A]) is None


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [("done", "todo", True), ("cancelled", "backlog", True), ("todo", "in_progress", False), ("done", "done", False)],
)
def test_f2_what_opens_a_task_again(before, after, expected):
    assert is_reopened(before, after) is expected

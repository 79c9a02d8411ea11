from contextlib import suppress
from datetime import UTC, date, datetime

import pytest
from chassis.ids import uuid7
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tasks_service.changes.schemas import differences
from tasks_service.tasks.rules import are_in_order, completion
from tasks_service.tasks.schemas import TaskCreate, TaskPatch

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given_due", "kind", "shown"),
    [
        ("2026-12-01", "date", "2026-12-01"),
        ({"date": "2026-12-01"}, "date", "2026-12-01"),
        ("2026-12-01T09:00:00Z", "at", "2026-12-01T09:00:00+00:00"),
        ("2026-12-01T09:00:00+02:00", "at", "2026-12-01T07:00:00+00:00"),
        ({"local": "2026-12-01T09:00"}, "local", "2026-12-01T09:00:00"),
    ],
)
def test_forms_of_a_due(given_due, kind, shown):
    due = TaskCreate(title="a", due=given_due).due
    assert due.kind == kind
    assert (due.date or due.at or due.local).isoformat() == shown


def test_an_instant_keeps_its_wall_time_in_its_zone():
    due = TaskCreate(title="a", due={"at": "2026-03-29T07:30:00Z", "timezone": "Europe/Berlin"}).due
    assert due.local == datetime(2026, 3, 29, 9, 30)  # noqa: DTZ001 - a wall time
    assert due.timezone == "Europe/Berlin"


@given(st.text(max_size=40))
def test_no_text_crashes_the_reading_of_a_due(value):
    with suppress(ValidationError):
        TaskCreate(title="a", due=value)


def test_a_patch_tells_absent_from_null():
    assert TaskPatch.model_validate({}).given() == {}
    assert TaskPatch.model_validate({"due": None, "title": " a "}).given() == {"due": None, "title": "a"}
    with pytest.raises(ValidationError):
        TaskPatch.model_validate({"title": None})


def test_completion_follows_the_category():
    user = uuid7()
    done = {"completed_at": NOW, "completed_by": user}
    open_again = {"completed_at": None, "completed_by": None}
    assert completion("done", was="todo", actor_id=user, now=NOW) == done
    assert completion("done", was=None, actor_id=user, now=NOW) == done
    assert completion("done", was="done", actor_id=user, now=NOW) == {}
    assert completion("todo", was="done", actor_id=user, now=NOW) == open_again
    assert completion("cancelled", was="done", actor_id=user, now=NOW) == open_again
    assert completion("in_progress", was="todo", actor_id=user, now=NOW) == {}


DAYS = (None, date(2026, 12, 1), date(2026, 12, 2), date(2026, 12, 3))


@pytest.mark.parametrize("start", DAYS)
@pytest.mark.parametrize("due", DAYS)
@pytest.mark.parametrize("deadline", DAYS)
def test_g3_start_due_and_deadline_follow_each_other(start, due, deadline):
    wrong = (
        (start and due and start > due)
        or (due and deadline and due > deadline)
        or (start and deadline and start > deadline)
    )
    assert are_in_order(start, due, deadline) is not bool(wrong)


def test_differences_leave_out_the_version():
    before = {"title": "a", "due": None, "version": 1, "updated_at": "x"}
    after = {"title": "b", "due": None, "version": 2, "updated_at": "y"}
    assert [change.as_json() for change in differences(before, after)] == [{"field": "title", "old": "a", "new": "b"}]

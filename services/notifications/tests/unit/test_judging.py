"""Filters judged in Python mean what they mean in SQL: held against the model that the SQL of tasks is held against."""

import json
import random
import runpy
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from chassis.errors import AppError, InvalidInput
from chassis.filtering.judging import question_of
from chassis.filtering.tree import And, Not, Or
from chassis.ids import uuid7
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st
from notifications_service.live.filters import TASK_FIELDS, parse

ROOT = Path(__file__).parents[4]
MODEL = runpy.run_path(str(ROOT / "services" / "tasks" / "tests" / "model" / "filters.py"))
SCHEMA = json.loads((ROOT / "contracts" / "events" / "tasks" / "task.updated.v1.schema.json").read_text())
EXAMPLE = json.loads((ROOT / "contracts" / "events" / "tasks" / "task.updated.v1.example.json").read_text())
TASK = EXAMPLE["data"]["resource"]
BERLIN = ZoneInfo("Europe/Berlin")
ME = uuid7()

PEOPLE, LABELS, WORKSPACE = [ME, *(uuid7() for _ in range(3))], [uuid7() for _ in range(4)], uuid7()
PROJECTS = [{"id": uuid7(), "workspace_id": WORKSPACE, "is_archived": False} for _ in range(2)]
TASKS = MODEL["random_tasks"](7, people=PEOPLE, labels=LABELS, projects=PROJECTS, count=80)
for number, one in enumerate(TASKS):
    one["key"] = f"P-{number + 1}"


def shown(value):
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, list):
        return [shown(one) for one in value]
    return value if value is None or isinstance(value, int | str) else str(value)


def resource(task):
    """Return a task as the API shows it."""
    kind, when = task["due"] or (None, None)
    parts = {"date": None, "at": None, "local": None, "timezone": None}
    due = None if kind is None else {"kind": kind, **parts, kind: shown(when)}
    return {**{field.name: shown(task[field.name]) for field in TASK_FIELDS.fields}, "due": due}


RESOURCES = [resource(one) for one in TASKS]


def fields_of(node):
    if isinstance(node, And | Or):
        return {name for one in node.nodes for name in fields_of(one)}
    return fields_of(node.node) if isinstance(node, Not) else {node.field}


def is_known(tree):
    return all(TASK_FIELDS.find(name) for name in fields_of(tree))


@profile(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(tree=MODEL["random_trees"](st, TASKS, PEOPLE, LABELS).filter(is_known), zone=st.sampled_from(MODEL["ZONES"]))
def test_k12_random_filters_mean_what_they_mean_in_sql(tree, zone):
    asks = question_of(tree, TASK_FIELDS, ZoneInfo(zone))
    wanted = [MODEL["fulfils"](one, tree, me=ME, zone=zone) for one in TASKS]
    assert [asks(one) for one in RESOURCES] == wanted


@pytest.mark.parametrize(
    ("filter_", "found"),
    [
        ("priority = none", True),
        ("key = inbox-12 and not key = INBOX-1", True),
        ({"field": "priority", "op": ">", "value": "none"}, False),
        ("labels is_null and assignees has_none (me)", True),
        ("due = 2026-12-01 and due < 2026-12-02T00:00:00Z", True),
        ("due is_null", False),
        ("description != x", True),
        ("estimate_minutes < 5", False),
        ("not estimate_minutes < 5", True),
        ("created_at = 2026-11-24", True),
        ({"field": "due", "op": "is_null", "value": False}, True),
    ],
)
def test_k12_a_filter_of_the_producers_example(filter_, found):
    assert parse(filter_, user_id=ME, zone=BERLIN)(TASK) is found


def test_d2_relative_dates_are_of_the_moment_at_which_is_judged():
    """A judge may live for months."""
    judge = parse("due = today()", user_id=ME, zone=BERLIN)
    days = [datetime(2026, 11, 30, 22, 59, tzinfo=UTC), datetime(2026, 11, 30, 23, 1, tzinfo=UTC)]
    assert [judge(TASK, now=now) for now in days] == [False, True]
    assert not judge(TASK, now=datetime(2026, 12, 1, 23, 1, tzinfo=UTC))


def test_equal_filters_are_one_judge_and_me_is_who_asks():
    text, other = "assignees = me", uuid7()
    mine = parse(text, user_id=ME, zone=BERLIN)
    assert mine is parse(text, user_id=ME, zone=BERLIN)
    assert mine is not parse(text, user_id=other, zone=BERLIN)
    assert [mine({"assignees": [str(user)]}) for user in (ME, other)] == [True, False]
    assert not mine({})
    same = [parse("status = todo", user_id=user, zone=BERLIN) for user in (ME, other)]
    assert same[0] is same[1] is not parse("status = todo", user_id=ME, zone=ZoneInfo("UTC"))


@pytest.mark.parametrize(
    ("filter_", "code"),
    [
        ("is_starred = true", "UNKNOWN_FIELD"),
        ("meta.app.x = 1", "UNKNOWN_FIELD"),
        ("priority contains x", "OPERATOR_NOT_ALLOWED"),
        ("priority = hi", "VALUE_NOT_ALLOWED"),
        ("priority =", "INVALID_FILTER"),
        (7, "INVALID_FILTER"),
        ("a = 1 and " * 600 + "a = 1", "FILTER_TOO_COMPLEX"),
    ],
)
def test_a_filter_that_is_none_is_refused(filter_, code):
    with pytest.raises(AppError) as refused:
        parse(filter_, user_id=ME, zone=BERLIN)
    found = refused.value
    assert code in ([one.code for one in found.details] if isinstance(found, InvalidInput) else [found.code])


def test_d2_the_fields_are_those_of_the_producer():
    """Each is in the schema of its events, of the type that it is here, and may be null where it may be empty."""
    schema = SCHEMA["properties"]["data"]["properties"]["resource"]
    known = schema["properties"]
    formats = {"id": "uuid", "user": "uuid", "day": "date", "instant": "date-time"}
    for field in TASK_FIELDS.fields:
        told = known[field.name]
        ways = told.get("anyOf", [told])
        assert ("null" in [one.get("type") for one in ways]) == field.nullable, field.name
        (way,) = [one for one in ways if one.get("type") != "null"]
        way = way["items"] if field.several else way
        if field.type == "due":
            assert way == {"$ref": "#/$defs/DueOut"}
        elif field.type == "number":
            assert way["type"] == "integer"
        else:
            assert (way["type"], way.get("format")) == ("string", formats.get(field.type)), field.name
            assert way.get("enum") == (None if field.allowed is None else list(field.allowed)), field.name
    left_out = {"progress", "reopen_on_assign", "position", "custom", "version", "deleted_at"}
    assert known.keys() - {field.name for field in TASK_FIELDS.fields} == left_out
    assert SCHEMA["$defs"]["DueOut"]["properties"].keys() >= {"kind", "date", "at", "local"}


def test_random_filters_find_some_and_not_all():
    """Else the property would say nothing."""
    rng = random.Random(3)
    found = [parse(f"created_at < {rng.choice(MODEL['DAYS'])}", user_id=ME, zone=BERLIN) for _ in range(20)]
    counts = {sum(judge(one) for one in RESOURCES) for judge in found}
    assert len(counts) > 2
    assert isinstance(MODEL["DAYS"][0], date)

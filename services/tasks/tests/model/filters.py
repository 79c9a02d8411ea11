"""Filters and sorts by plain Python, for random rows: what the SQL of both is held against."""

import json
import random
from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.filtering.tree import And, Not, Or, Predicate
from chassis.ids import uuid7

PRIORITIES = ["none", "low", "medium", "high", "urgent"]
STATUSES = ["todo", "in_progress", "done", "cancelled"]
TEXTS = ["a", "A", "ab", "Ab%", "a_b", "a\\b", "50%", "Übung", "übung", "_", "%", "\\", "'; --", "a b"]
ZONES = [
    "UTC",
    "UTC",
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Pacific/Kiritimati",
    "Asia/Kolkata",
    "Pacific/Pago_Pago",
]
FIRST = datetime(2026, 11, 20, tzinfo=UTC)
# Midnights of some of the zones among them, and around a time that comes twice in Berlin, another in New York.
TWICE = [
    datetime(2026, *when, tzinfo=UTC)
    for when in ((10, 25, 0, 30), (10, 25, 1, 30), (10, 25, 2, 30), (11, 1, 1, 30), (11, 1, 5, 30), (11, 1, 6, 30))
]
INSTANTS = [FIRST + timedelta(hours=step) for step in (*range(0, 96, 8), 23, 47, 29, 10, 34, 11, 18.5, 61)] + TWICE
DAYS = [FIRST.date() + timedelta(days=step) for step in range(5)]
SAYS = [{"n": 1}, {"n": 1.0}, {"n": "1"}, {"n": True}, {"n": {"m": "a"}}, {"n": None}, {}]


def random_tasks(seed, *, people, labels, projects, count):
    """Return tasks by what can be asked of them, and what is beside them in the database."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        project = rng.choice(projects)
        status = rng.choice(STATUSES)
        assignees = rng.sample(people, rng.choice([0, 0, 1, 2]))
        source = rng.choice([None, None, "jira", "Jira"])
        made.append(
            {
                "id": uuid7(),
                "project_id": project["id"],
                "workspace_id": project["workspace_id"],
                "is_archived": project["is_archived"],
                "title": rng.choice(TEXTS),
                "description": rng.choice([None, "", *TEXTS]),
                "status": status,
                "status_category": status,
                "priority": rng.choice(PRIORITIES),
                "parent_id": rng.choice(
                    [None, None, *(one["id"] for one in made[:3] if one["project_id"] == project["id"])]
                ),
                "category_id": None,
                "assignees": assignees,
                "assigned_to": assignees[0] if assignees else None,
                "labels": rng.sample(labels, rng.choice([0, 0, 1, 2])),
                "watchers": rng.sample(people, rng.choice([0, 1, 2])),
                "stopped": rng.sample(people, rng.choice([0, 1])),
                "starred_by": rng.sample(people, rng.choice([0, 1, 2])),
                "own_labels": [],
                "completion_policy": rng.choice(["any", "all"]),
                "start": rng.choice([None, DAYS[0]]),
                "deadline": rng.choice([None, *DAYS[1:]]),
                "due": _random_due(rng),
                "estimate_minutes": rng.choice([None, 0, 30, 30, 90]),
                "completed_at": rng.choice(INSTANTS) if status == "done" else None,
                "completed_by": rng.choice(people) if status == "done" else None,
                "created_by": rng.choice(people),
                "created_at": rng.choice(INSTANTS),
                "updated_at": rng.choice(INSTANTS),
                "external_source": source,
                "external_id": f"{source}-{number}" if source else None,
                "metadata": rng.choice([None, None, *SAYS]),
                "metadata_is_mine": rng.random() < 0.5,
                "metadata_is_shared": rng.random() < 0.3,
            }
        )
        made[-1]["stopped"] = [one for one in made[-1]["stopped"] if one not in made[-1]["watchers"]]
    return made


def _random_due(rng):
    kind = rng.choice([None, "date", "at", "local"])
    if kind == "date":
        return ("date", rng.choice(DAYS))
    if kind == "at":
        return ("at", rng.choice(INSTANTS))
    return kind and ("local", rng.choice(INSTANTS).replace(tzinfo=None))


def fulfils(task, node, *, me, zone):
    """Tell whether a task is what a bound tree asks for."""
    if isinstance(node, And):
        return all(fulfils(task, one, me=me, zone=zone) for one in node.nodes)
    if isinstance(node, Or):
        return any(fulfils(task, one, me=me, zone=zone) for one in node.nodes)
    if isinstance(node, Not):
        return not fulfils(task, node.node, me=me, zone=zone)
    return _fulfils(task, node, me, ZoneInfo(zone))


def _fulfils(task, asked, me, zone):
    value = value_of(task, asked.field, me)
    name, values = asked.operator, asked.values
    if isinstance(value, (set, frozenset)):
        return {
            "=": lambda: values[0] in value,
            "!=": lambda: values[0] not in value,
            "in": lambda: bool(value & set(values)),
            "has_any": lambda: bool(value & set(values)),
            "not_in": lambda: not value & set(values),
            "has_none": lambda: not value & set(values),
            "has_all": lambda: value >= set(values),
            "is_null": lambda: not value,
        }[name]()
    if name == "is_null":
        return value is None
    if name in ("!=", "not_in", "=", "in"):
        is_any = value is not None and any(_is_equal(asked.field, value, one, zone) for one in values)
        return is_any == (name in ("=", "in"))
    return value is not None and _exceeds(asked.field, name, value, values[0], zone)


def _exceeds(field, name, value, wanted, zone):
    if name == "contains":
        return wanted.lower() in value.lower()
    if name == "starts_with":
        return value.lower().startswith(wanted.lower())
    if field == "priority":
        return _compares(name, PRIORITIES.index(value), PRIORITIES.index(wanted))
    return _compares(name, *_on_one_scale(value, wanted, zone))


def _is_equal(field, value, wanted, zone):
    if field.startswith("meta."):
        return isinstance(value, bool) == isinstance(wanted, bool) and value == wanted
    first, second = _on_one_scale(value, wanted, zone)
    return first == second


def _on_one_scale(value, wanted, zone):
    """Return two days where one of them is one, two instants where both are times, and else what is given."""
    kind, value = value if isinstance(value, tuple) else (None, value)
    if not isinstance(value, date):
        return value, wanted
    if not isinstance(value, datetime) or not isinstance(wanted, datetime):
        return _day(value, zone), _day(wanted, zone)
    return (value.replace(tzinfo=zone) if kind == "local" else value).astimezone(UTC), wanted.astimezone(UTC)


def _day(value, zone):
    if not isinstance(value, datetime):
        return value
    return value.date() if value.tzinfo is None else value.astimezone(zone).date()


def _compares(name, first, second):
    return {"<": first < second, "<=": first <= second, ">": first > second, ">=": first >= second}[name]


def value_of(task, field, me):
    """Return the value of a field: a set where it has several, and a due with its kind."""
    if field == "is_starred":
        return me in task["starred_by"]
    if field == "labels":
        return frozenset(task["labels"]) | frozenset(task["own_labels"])
    if field in ("assignees", "watchers"):
        return frozenset(task[field])
    if field.startswith("meta."):
        return _in_metadata(task, field)
    return task[field]


def _in_metadata(task, field):
    value = task["metadata"] if task["metadata_is_mine"] or task["metadata_is_shared"] else None
    for name in field.split(".")[2:]:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def random_trees(st, tasks, people, labels):
    """Return a strategy of bound trees that these tasks may or may not fulfil."""

    def of(name, operators, values):
        several = st.lists(values, min_size=1, max_size=3).map(tuple)
        one = values.map(lambda value: (value,))
        return st.sampled_from(operators).flatmap(
            lambda operator: st.builds(
                Predicate,
                st.just(name),
                st.just(operator),
                st.just(())
                if operator == "is_null"
                else several
                if operator in ("in", "not_in", "has_any", "has_all", "has_none")
                else one,
            )
        )

    equality = ["=", "!=", "in", "not_in"]
    order = [*equality, "<", "<=", ">", ">="]
    sets = [*equality, "has_any", "has_all", "has_none", "is_null"]
    ids = st.sampled_from([uuid7(), *(one["id"] for one in tasks[:5])])
    users = st.sampled_from([uuid7(), *people])
    texts = st.sampled_from([*TEXTS, "B", "ü", "Ü", "", "50"])
    instants = st.sampled_from([*INSTANTS, *(one + timedelta(minutes=7) for one in INSTANTS)])
    days = st.sampled_from([DAYS[0] - timedelta(days=9), *DAYS, date(1970, 1, 1), date(2100, 12, 31)])
    times = instants | days
    projects = st.sampled_from(sorted({one["project_id"] for one in tasks}))
    keys = st.sampled_from([*(one["key"] for one in tasks[:9]), "NONE-1", tasks[0]["key"].lower()])
    known = [
        of("id", equality, ids),
        of("key", equality, keys.map(str.upper)),
        of("project_id", equality, projects),
        of("workspace_id", equality, st.sampled_from([tasks[0]["workspace_id"], uuid7()])),
        of("title", [*equality, "contains", "starts_with"], texts),
        of("description", [*equality, "contains", "starts_with", "is_null"], texts),
        of("status", equality, st.sampled_from([*STATUSES, "other"])),
        of("status_category", equality, st.sampled_from(STATUSES)),
        of("priority", order, st.sampled_from(PRIORITIES)),
        of("parent_id", [*equality, "is_null"], ids),
        of("category_id", [*equality, "is_null"], ids),
        of("assignees", sets, users),
        of("assigned_to", [*equality, "is_null"], users),
        of("labels", sets, st.sampled_from([uuid7(), *labels])),
        of("watchers", sets, users),
        of("is_starred", ["=", "!="], st.booleans()),
        of("is_archived", ["=", "!="], st.booleans()),
        of("completion_policy", equality, st.sampled_from(["any", "all", "quorum:2"])),
        of("start", [*order, "is_null"], times),
        of("deadline", [*order, "is_null"], times),
        of("due", [*order, "is_null"], times),
        of("due", [*order, "is_null"], times),
        of("estimate_minutes", [*order, "is_null"], st.sampled_from([0, 30, 30.5, 90, -1, 2**62])),
        of("completed_at", [*order, "is_null"], times),
        of("created_at", order, times),
        of("updated_at", order, times),
        of("created_by", equality, users),
        of("completed_by", [*equality, "is_null"], users),
        of("external_source", [*equality, "is_null"], st.sampled_from(["jira", "Jira", "x"])),
        of("external_id", [*equality, "is_null"], st.sampled_from(["jira-1", "jira-2", "x"])),
        of("meta.app.n", [*equality, "is_null"], st.sampled_from([1, "1", True, False, 2])),
        of("meta.app.n.m", [*equality, "is_null"], st.sampled_from(["a", "b"])),
    ]

    def groups(nodes):
        several = st.lists(nodes, max_size=3).map(tuple)
        return several.map(And) | several.map(Or) | nodes.map(Not)

    # Days and instants go wrong the most ways.
    timed = [of(name, order, days) for name in ("created_at", "completed_at", "due", "due")]
    known += [*timed, *timed]
    return st.recursive(st.one_of(known), groups, max_leaves=8)


def as_json(value):
    """Return JSON for a parameter of SQL."""
    return json.dumps(value)


async def keep(rows, tasks, *, app):
    """Write tasks with what is beside them; `rows` runs SQL. Each task is given its key."""
    columns = (
        "id, workspace_id, project_id, title, description, status, priority, parent_id, assignees, assigned_to, labels,"
        " completion_policy, start_date, deadline, due_kind, due_date, due_at, due_local, due_timezone,"
        " estimate_minutes, completed_at, completed_by, created_by, created_at, updated_at, external_source,"
        " external_id, version"
    )
    names = [name.strip() for name in columns.split(",")]
    for task in tasks:
        kind, when = task["due"] or (None, None)
        values = {
            **{name: task.get(name) for name in names},
            "version": 1,
            "start_date": task["start"],
            "due_kind": kind,
            "due_date": when if kind == "date" else None,
            "due_at": when if kind == "at" else None,
            "due_local": when.replace(tzinfo=None) if kind in ("at", "local") else None,
            "due_timezone": "UTC" if kind == "at" else None,
        }
        [[key]] = await rows(
            f"INSERT INTO tasks.task ({columns}) VALUES ({', '.join(':' + name for name in names)}) RETURNING"  # noqa: S608 - names of columns
            " (SELECT prefix FROM tasks.project WHERE id = project_id) || '-' || number",
            **values,
        )
        task["key"] = key
        beside = {"w": task["workspace_id"], "t": task["id"]}
        for user in task["assignees"]:
            await rows("INSERT INTO tasks.assignee VALUES (:w, :t, :u, 'pending', :u, now())", u=user, **beside)
        for user in [*task["watchers"], *task["stopped"]]:
            await rows(
                "INSERT INTO tasks.watcher VALUES (:w, :t, :u, 'manual', :is, false, now())",
                u=user,
                **{"is": user in task["watchers"]},
                **beside,
            )
        for user in task["starred_by"]:
            await rows("INSERT INTO tasks.star VALUES (:w, :u, :t, now())", u=user, **beside)
        if task["metadata"] is not None:
            await rows(
                "INSERT INTO tasks.task_metadata VALUES (:w, :t, 'app', :o, :s, CAST(:v AS jsonb), 1, now())",
                o=app if task["metadata_is_mine"] else UUID(int=1),
                s=task["metadata_is_shared"],
                v=as_json(task["metadata"]),
                **beside,
            )

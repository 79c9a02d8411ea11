"""Lists are read from indexes: what the API sends is planned anew, as the role that it runs as, and the plans are read.

There are thousands of tasks, and statistics of them, so that the planner has reasons to choose an index or not to.
"""

import json
from contextlib import contextmanager

import pytest
from chassis.context import HAS_WRITTEN
from sqlalchemy import event
from tasks_service.sorting.rules import KEYS, RANK
from testkit.waiting import eventually

PROJECTS = 10
TASKS = 800
PAGE = 20
STEP = 26
"""How many tasks a place gives for a page."""
MOST_SORTED = 2 * STEP
"""How many of a place may be sorted: where there are hardly more than are wanted, reading in order is not cheaper."""
SORTS = [f"sort={sign}{name}" for name in KEYS if name != RANK for sign in ("", "-")]
FILTERS = [
    "status=todo",
    "status_category=todo,in_progress",
    "priority=high,urgent",
    "assignee=me",
    "assignee=me&status=todo&sort=-priority,due",
    "assignee=me&sort=due",
    "due_after=2026-01-10&due_before=2026-03-01&sort=due",
    "created_at_after=2026-01-10",
    "created_at_after=2026-01-10&created_at_before=2026-03-01&sort=created_at",
    "sort=-priority,due",
    "status=todo&priority=high,urgent&sort=-priority,due",
    "assignee=me&sort=-updated_at",
    "assignee=me&filter=not due is_null&sort=-priority,due",
    "labels={label}",
    "labels={label}&sort=-updated_at",
    "labels={label}&status=todo&sort=-due",
    "labels={label}&priority=high&sort=-priority,due",
    "project_id={project}",
    "project_id={project}&status=todo&sort=due",
    "project_id={project}&sort=-updated_at",
    "project_id={project}&assignee=me&sort=due",
]
MORE_PROJECTS = """
    INSERT INTO tasks.project (id, workspace_id, name, is_inbox, created_by, version, created_at, updated_at)
    SELECT uuidv7(), :w, 'P', false, :u, 1, now(), now() FROM generate_series(1, :n) RETURNING id
"""
MORE_TASKS = """
    INSERT INTO tasks.task SELECT made.*
    FROM tasks.task AS one, generate_series(1, :n) AS n, jsonb_populate_record(one, jsonb_build_object(
        'id', uuidv7(), 'number', NULL, 'position', NULL, 'external_id', NULL, 'project_id', CAST(:p AS uuid),
        'title', md5(n::text), 'priority', (ARRAY['none', 'low', 'medium', 'high', 'urgent'])[1 + n % 5],
        'due_kind', CASE WHEN n % 3 > 0 THEN 'date' END,
        'due_date', CASE WHEN n % 3 > 0 THEN date '2026-01-01' + n % 200 END,
        'start_date', NULL, 'deadline', CASE WHEN n % 4 = 0 THEN date '2027-01-01' + n % 90 END,
        'estimate_minutes', CASE WHEN n % 2 = 0 THEN n % 500 END,
        'created_at', timestamptz '2026-01-01' + n * interval '1 hour',
        'updated_at', timestamptz '2026-01-01' + n * 7 % 999 * interval '1 hour'
    )) AS made
    WHERE one.id = :t
"""
ASSIGNED = """
    INSERT INTO tasks.assignee SELECT workspace_id, id, :u, 'pending', :u, now() FROM tasks.task
    WHERE workspace_id = :w AND number % 10 = 0
"""
MARKED = """
    UPDATE tasks.task SET assigned_to = :u, assignees = ARRAY[CAST(:u AS uuid)]
    WHERE workspace_id = :w AND number % 10 = 0
"""
LABELLED = """
    UPDATE tasks.task
    SET labels = ARRAY[
        CASE number % 8 WHEN 1 THEN CAST(:l AS uuid) ELSE md5((number % 8)::text)::uuid END,
        md5((-number % 9)::text)::uuid
    ]
    WHERE workspace_id = :w
"""
WALKED = ("task", "task_mark")
BY_ROUTE = "archived=false"
"""Says what is so without it: by the shortcut for plain lists the same statements go past what is listened to here."""


@pytest.fixture
async def many(roster):
    """Fills the place, and tells the planner of it; gives what filters name, too."""
    task = await roster.task()
    place, owner = {"w": roster.workspace_id}, {"u": roster.ids["owner"]}
    for (project,) in await roster.rows(MORE_PROJECTS, **place, **owner, n=PROJECTS):
        await roster.rows(MORE_TASKS, t=task["id"], p=project, n=TASKS)
    await roster.rows(ASSIGNED, **place, **owner)
    await roster.rows(MARKED, **place, **owner)
    label = await roster.ok("owner", "POST", "/labels", {"workspace_id": str(roster.workspace_id), "name": "Late"})
    await roster.rows(LABELLED, **place, l=label["id"])
    for table in ("project", "member", "task", "assignee", "task_mark"):
        await roster.rows(f"ANALYZE tasks.{table}")
    return roster, {"label": label["id"], "project": project}


@contextmanager
def sent(database):
    """Give a list to which the statements that read tasks are added, with their parameters."""
    seen = []

    def note(_connection, _cursor, statement, parameters, *_more):
        if "tasks.task" in statement:
            seen.append((statement, parameters))

    event.listen(database.reader.sync_engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(database.reader.sync_engine, "before_cursor_execute", note)


async def plans_of(database, caller, statements):
    async with database.writer.connect() as connection:
        settings = "SELECT set_config('role', 'tasks_caller', true), set_config('taskloom.caller', $1, true)"
        await connection.exec_driver_sql(settings, (str(caller),))
        found = []
        for statement, parameters in statements:
            rows = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
            plan = rows.scalar_one()
            found.append((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])
        await connection.rollback()
        return found


def nodes(plan):
    yield plan
    for one in plan.get("Plans", ()):
        yield from nodes(one)


def sorted_tasks(plan, *, over=0):
    """Yield how many rows of tasks each sort takes in, without an end to the reading of them."""
    over = 0 if plan["Node Type"] in {"Limit", "CTE Scan"} else over
    if plan["Node Type"] == "Sort":
        over = 1
    if over and plan.get("Relation Name") in WALKED:
        yield plan["Plan Rows"]
    for one in plan.get("Plans", ()):
        # What a node takes a value from, or what it is only written under, is not what it takes in.
        yield from sorted_tasks(one, over=0 if one["Parent Relationship"] == "InitPlan" else over)


async def test_every_sort_and_everyday_filter_is_read_from_an_index(many, database):
    """By page and by cursor: no list reads all tasks, and none sorts more of a place than a page of it."""
    faults = []
    many, named = many
    for query in ("", *SORTS, *(one.format(**named) for one in FILTERS)):
        with sent(database) as statements:
            first = (await many.ask("owner", "GET", f"/tasks?{query}&cursor=&per_page={PAGE}")).json()
            cursor = first["meta"]["next_cursor"]
            await many.ok("owner", "GET", f"/tasks?{query}&cursor={cursor}&per_page={PAGE}")
            await many.ok("owner", "GET", f"/tasks?{query}&per_page={PAGE}&{BY_ROUTE}")
        assert len(statements) >= 3, query
        for place, plan in enumerate(await plans_of(database, many.ids["owner"], statements)):
            read = [one["Relation Name"] for one in nodes(plan) if one["Node Type"] == "Seq Scan"]
            faults += [(query, place, f"reads all of {table}") for table in WALKED if table in read]
            if any(rows > MOST_SORTED for rows in sorted_tasks(plan)):
                faults.append((query, place, f"sorts {max(sorted_tasks(plan))} tasks"))
    assert faults == []


@pytest.fixture
async def uneven(roster):
    """Fills one project among many that have next to nothing: the planner takes all of them for small ones."""
    task = await roster.task()
    place, owner = {"w": roster.workspace_id}, {"u": roster.ids["owner"]}
    (large, *small) = await roster.rows(MORE_PROJECTS, **place, **owner, n=60)
    await roster.rows(MORE_TASKS, t=task["id"], p=large[0], n=12_200)
    for (project,) in small:
        await roster.rows(MORE_TASKS, t=task["id"], p=project, n=5)
    for table in ("project", "member", "task"):
        await roster.rows(f"ANALYZE tasks.{table}")
    return roster


async def test_what_a_total_is_estimated_from_is_looked_up_in_a_large_project_among_small_ones(uneven, database):
    for query in ("", "status=todo", "filter=not assignee = me", "label=none&due_before=2026-03-01"):
        with sent(database) as statements:
            assert (await uneven.ask("owner", "GET", f"/tasks?{query}&{BY_ROUTE}")).status_code == 200
        counting = [one for one in statements if "generate_series" in one[0]]
        (plan,) = await plans_of(database, uneven.ids["owner"], counting)
        # What reads a whole project for each number that it looks at keeps it for the next one.
        kept = [one for each in nodes(plan) if each["Node Type"] == "Materialize" for one in nodes(each)]
        assert [one["Index Name"] for one in kept if one.get("Relation Name") == "task"] == [], query
        assert [one for one in nodes(plan) if "spread.number" in one.get("Index Cond", "")], query


async def test_an_estimate_is_made_once_for_who_turns_pages_and_for_nobody_else(uneven, database):
    async def told(who, query, **headers):
        with sent(database) as statements:
            meta = (await uneven.ask(who, "GET", f"/tasks?{query}&{BY_ROUTE}", **headers)).json()["meta"]
        assert meta["total_is_estimate"] is True
        return meta["total"], any("generate_series" in statement for statement, _ in statements)

    async def is_told_again():
        # In vain where more than the seconds pass for which it is kept.
        (first, _), again = await told("owner", "priority=high"), await told("owner", "priority=high&page=2")
        return again == (first, False)

    assert await eventually(is_told_again, seconds=60)
    for query in ("priority=low", "priority=high&status=todo"):
        assert (await told("owner", query))[1], query
    assert (await told("admin", "priority=high"))[1]
    # What is to be as new as something is not what was so before.
    cursor = (await uneven.ask("owner", "POST", "/tasks", {"title": "a"})).headers["x-cursor"]
    await told("owner", "priority=high")
    assert (await told("owner", "priority=high", **{"x-min-cursor": cursor}))[1]
    for name in ("min_cursor", "min%5Fcursor"):
        assert (await told("owner", f"priority=high&{name}={cursor}"))[1], name
    assert (await told("owner", "priority=high", **{HAS_WRITTEN: "1"}))[1]


@pytest.fixture
async def alike(roster):
    """Fills sixty projects with the same tasks, which the owner is to do."""
    task = await roster.task(assigned_to=roster.id("owner"))
    projects = await roster.rows(MORE_PROJECTS, w=roster.workspace_id, u=roster.ids["owner"], n=60)
    for (project,) in projects:
        await roster.rows(MORE_TASKS, t=task["id"], p=project, n=209)
    return roster


@pytest.fixture
def estimated():
    """Tells how many tasks of each priority there are, by estimates and as it is."""

    async def estimate(team, also=""):
        numbers = "SELECT priority, count(*) FROM tasks.task WHERE workspace_id = :w GROUP BY priority"
        right = dict(await team.rows(numbers, w=team.workspace_id))
        found = {}
        for priority in right:
            meta = (await team.ask("owner", "GET", f"/tasks?priority={priority}{also}&{BY_ROUTE}")).json()["meta"]
            assert meta["total_is_estimate"] is True
            found[priority] = meta["total"]
        return found, {priority: pytest.approx(number, rel=0.2) for priority, number in right.items()}

    return estimate


async def test_a_total_is_estimated_well_of_tasks_that_recur_in_steps(uneven, estimated):
    """Every fifth task has the same priority, and of 12,501 tasks five hundred are one of 25, or four of 100."""
    found, right = await estimated(uneven)
    assert found == right


async def test_a_total_is_estimated_well_of_projects_that_are_alike(alike, estimated):
    """Their tasks have the same numbers; there are two steps in each."""
    found, right = await estimated(alike)
    assert found == right


async def test_a_total_is_estimated_well_by_marks(alike, estimated):
    """Whose tasks they are is known by marks, when they were made is not: so some of the marks are looked at."""
    found, right = await estimated(alike, also="&assignee=me&created_at_after=2000-01-01")
    assert found == right

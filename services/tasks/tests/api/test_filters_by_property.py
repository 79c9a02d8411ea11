"""Random filters over random tasks: SQL finds what plain Python finds."""

import asyncio
import runpy
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, time
from itertools import product
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from chassis.clock import utcnow
from chassis.cursors import CursorSigner
from chassis.db.engine import open_database
from chassis.db.row_security import reading
from chassis.filtering.tree import EVERYTHING, And, Not, Or, Predicate
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.paging import Paging
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as profile
from hypothesis import strategies as st
from sqlalchemy import text
from tasks_service.db import ROW_SECURITY
from tasks_service.listing.rules import SORTS_OF_MARKS
from tasks_service.listing.schemas import TaskQuery
from tasks_service.listing.service import Bounds, list_tasks
from tasks_service.matching.repository import matching
from tasks_service.sorting.rules import KEYS, Order, complete

MODEL = runpy.run_path(str(Path(__file__).parents[1] / "model" / "filters.py"))
fulfils, ZONES, DAYS, INSTANTS = (MODEL[name] for name in ("fulfils", "ZONES", "DAYS", "INSTANTS"))
TASKS, EXAMPLES = 80, 600
OF_PEOPLE = ("has_any", "has_all", "has_none", "in", "not_in")
MINE = Predicate("is_starred", "=", (True,))
SIGNER = CursorSigner("a secret of the tests, long enough")


class World:
    """Random tasks in a database, read as requests do by one connection that is kept, and by one caller."""

    def __init__(self, settings):
        self._loop, self._stack = asyncio.Runner(), AsyncExitStack()
        self.people, self.labels = [uuid7() for _ in range(4)], [uuid7() for _ in range(4)]
        self.caller = Principal(user_id=self.people[0], session_id=uuid7())
        self._database = open_database(settings, application_name="tasks-filters")
        self._loop.run(self._fill())

    async def _fill(self):
        workspace = uuid7()
        projects = [{"id": uuid7(), "workspace_id": workspace, "is_archived": archived} for archived in (False, True)]
        self.tasks = MODEL["random_tasks"](1, people=self.people, labels=self.labels, projects=projects, count=TASKS)
        async with self._database.writer.begin() as connection:

            async def rows(statement, **values):
                found = await connection.execute(text(statement), values)
                return found.all() if found.returns_rows else []

            await _place(rows, workspace, self.people, self.labels, projects)
            await MODEL["keep"](rows, self.tasks, app=self.caller.user_id)
            for task in self.tasks[::3]:
                task["own_labels"] = [self.labels[-1]]
                await rows(
                    "INSERT INTO tasks.personal_label VALUES (:w, :u, :t, :l)",
                    w=workspace,
                    u=self.caller.user_id,
                    t=task["id"],
                    l=self.labels[-1],
                )
            await rows("UPDATE tasks.project SET archived_at = now() WHERE id = :id", id=projects[1]["id"])
        bound = ROW_SECURITY.of(self.caller.user_id)
        self.connection = await self._stack.enter_async_context(reading(self._database, bound))

    def run(self, coroutine):
        return self._loop.run(coroutine)

    async def found(self, node, zone):
        query, parameters = matching(self.caller, node, zone=ZoneInfo(zone))
        return set((await self.connection.execute(query, parameters)).scalars())

    async def listed(self, node, zone):
        """Return what a list of all of them has, which begins where the filter says."""
        query = TaskQuery(utcnow(), node, zone=ZoneInfo(zone), archived=True)
        return {row["id"] for row in (await self.part(query, Paging(1, 100, None))).rows}

    def expected(self, node, zone):
        return {one["id"] for one in self.tasks if fulfils(one, node, me=self.caller.user_id, zone=zone)}

    async def walked(self, query, per_page, *, turning):
        """Return the ids of a list, a part at a time, and at last back to the beginning."""
        forth, back, cursor = [], [], ""
        while cursor is not None:
            page = await self.part(query, Paging(1, per_page, cursor))
            forth += [row["id"] for row in page.rows]
            last, cursor = page, page.meta["next_cursor"]
        while turning and last.meta["prev_cursor"] is not None:
            last = await self.part(query, Paging(1, per_page, last.meta["prev_cursor"]))
            back = [row["id"] for row in last.rows] + back
        return forth, back

    async def part(self, query, paging, exact_up_to=10_000):
        bounds = Bounds(exact_up_to, ranked_up_to=1000)
        return await list_tasks(
            self.connection, caller=self.caller, query=query, paging=paging, signer=SIGNER, bounds=bounds
        )

    def sorted_by(self, sort, tasks):
        """Return tasks in the order of a sort by Python: nulls last, and no ties left by the id."""
        for order in reversed(sort):
            there = [one for one in tasks if _sorted_as(one, order.name) is not None]
            there.sort(key=lambda one, order=order: _sorted_as(one, order.name), reverse=order.descending)
            tasks = [*there, *(one for one in tasks if _sorted_as(one, order.name) is None)]
        return [one["id"] for one in tasks]

    def close(self):
        self._loop.run(self._stack.aclose())
        self._loop.run(self._database.close())
        self._loop.close()


def _sorted_as(task, name):
    value = task["due"] if name == "due" else task[name]
    if name == "due" and value is not None:
        when = value[1]
        moment = when if isinstance(when, datetime) else datetime.combine(when, time())
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if name == "priority":
        return MODEL["PRIORITIES"].index(value)
    return value.lower() if name == "title" else value


async def _place(rows, workspace, people, labels, projects):
    owner = people[0]
    await rows("INSERT INTO tasks.workspace VALUES (:w, 'W', NULL, :o, 1, now(), now())", w=workspace, o=owner)
    await rows("INSERT INTO tasks.change_counter VALUES (:w, 0)", w=workspace)
    for user in people:
        await rows("INSERT INTO tasks.member VALUES (uuidv7(), :w, :u, 'owner', 1, 1, now())", w=workspace, u=user)
    for one in projects:
        await rows(
            "INSERT INTO tasks.project (id, workspace_id, name, is_inbox, created_by, version, created_at, updated_at)"
            " VALUES (:id, :w, 'P', false, :o, 1, now(), now())",
            id=one["id"],
            w=workspace,
            o=owner,
        )
    for label in labels:
        await rows(
            "INSERT INTO tasks.label (id, workspace_id, name, name_key, created_by, version, created_at, updated_at)"
            " VALUES (:l, :w, CAST(:n AS varchar), CAST(:n AS varchar), :o, 1, now(), now())",
            l=label,
            n=str(label),
            w=workspace,
            o=owner,
        )
    await rows("INSERT INTO tasks.metadata_namespace VALUES (:w, 'app', :o, now())", w=workspace, o=owner)


@pytest.fixture(scope="module")
def world(database_settings) -> Iterator[World]:
    found = World(database_settings)
    yield found
    found.close()


def test_random_filters_find_in_sql_what_they_find_in_python(world):
    trees = MODEL["random_trees"](st, world.tasks, world.people, world.labels)
    seen = []

    @profile(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(node=trees, zone=st.sampled_from(ZONES))
    def check(node, zone):
        expected = world.expected(node, zone)
        assert world.run(world.found(node, zone)) == expected
        assert world.run(world.listed(node, zone)) == expected
        seen.append(len(expected))

    check()
    # Neither all nor none of the tasks, most of the time: else the examples would say little.
    assert len([count for count in seen if 0 < count < TASKS]) > EXAMPLES // 3


def test_days_begin_and_end_where_they_do_in_each_zone(world):
    comparisons = [
        (Predicate(field, operator, (value,)), zone)
        for field in ("created_at", "completed_at", "due", "deadline")
        for operator in ("=", "!=", "<", "<=", ">", ">=")
        for value in (*DAYS[:3], *INSTANTS[2:5])
        for zone in ("UTC", "Asia/Kolkata")
    ]
    for node, zone in comparisons:
        assert world.run(world.found(node, zone)) == world.expected(node, zone), (node, zone)


def test_where_a_filter_of_people_is_a_way_to_begin_all_of_it_counts(world):
    people = tuple(world.people[:2])
    nodes = [
        part
        for field in ("assignees", "watchers")
        for one in (Predicate(field, "=", people[:1]), *(Predicate(field, has, people) for has in OF_PEOPLE))
        for part in (one, And((one, Predicate("priority", ">", ("low",)))), Not(one), Or((one, MINE)), And((one, MINE)))
    ]
    for node in nodes:
        expected = world.expected(node, "UTC")
        assert world.run(world.found(node, "UTC")) == expected, node
        assert world.run(world.listed(node, "UTC")) == expected, node


def test_random_sorts_are_walked_in_the_order_of_python_there_and_back(world):
    trees = MODEL["random_trees"](st, world.tasks, world.people, world.labels)
    keys = st.sampled_from([name for name in KEYS if name not in ("rank", "position")])
    orders = st.lists(st.builds(Order, keys, st.booleans()), min_size=1, max_size=4, unique_by=lambda one: one.name)

    @profile(
        max_examples=60,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(orders=orders, node=st.just(EVERYTHING) | trees, per_page=st.sampled_from([1, 3, 7, 100]))
    def check(orders, node, per_page):
        sort = complete(orders)
        expected = world.sorted_by(sort, [one for one in world.tasks if one["id"] in world.expected(node, "UTC")])
        query = TaskQuery(utcnow(), node, sort, archived=True)
        forth, back = world.run(world.walked(query, per_page, turning=True))
        assert forth == expected
        # All but the last part, from which the way back began.
        left = len(expected) % per_page or per_page
        assert back == (expected[: len(expected) - left] if expected else [])
        page = world.run(world.part(query, Paging(2, per_page, None)))
        assert [row["id"] for row in page.rows] == expected[per_page : 2 * per_page]
        assert (page.meta["total"], page.meta["total_is_estimate"]) == (len(expected), False)

    check()


MARKED_BY = {"assignees": "people", "assigned_to": "people", "labels": "labels"}
REST = (
    (),
    (Predicate("status", "!=", ("done",)), Predicate("priority", "in", ("none", "low", "high"))),
    (Predicate("estimate_minutes", ">", (30,)),),
    (MINE,),
)


@pytest.mark.parametrize("name", MARKED_BY)
def test_tasks_of_somebody_and_of_a_label_are_walked_in_each_order_there_and_back(world, name):
    """Each comes once, be it marked so by the caller alone, too; the total is exact."""
    for one, rest, written in product(getattr(world, MARKED_BY[name]), REST, sorted(SORTS_OF_MARKS)):
        sort = tuple(Order(key.removeprefix("-"), key.startswith("-")) for key in written.split(","))
        node = And((Predicate(name, "=", (one,)), *rest))
        expected = world.sorted_by(sort, [task for task in world.tasks if task["id"] in world.expected(node, "UTC")])
        query = TaskQuery(utcnow(), node, sort, archived=True)
        forth, back = world.run(world.walked(query, 4, turning=True))
        assert forth == expected, (node, written)
        assert back == expected[: len(expected) - (len(expected) % 4 or 4)], (node, written)
        meta = world.run(world.part(query, Paging(1, 1, None))).meta
        assert (meta["total"], meta["total_is_estimate"]) == (len(expected), False), (node, written)


def test_of_many_tasks_of_a_mark_some_tell_about_how_many_there_are_unless_the_mark_does(world):
    somebody = Predicate("assignees", "=", (world.people[0],))
    open_ones = Predicate("status_category", "in", ("todo", "in_progress"))
    dated = Not(Predicate("due", "is_null"))
    for rest, is_estimate in ((), False), ((open_ones,), False), ((open_ones, dated), True):
        node = And((somebody, *rest))
        meta = world.run(world.part(TaskQuery(utcnow(), node, archived=True), Paging(1, 1, None), exact_up_to=3)).meta
        # Fewer than five hundred are all looked at.
        assert (meta["total"], meta["total_is_estimate"]) == (len(world.expected(node, "UTC")), is_estimate), node


def test_of_more_than_are_counted_some_tell_about_how_many_there_are(world):
    query = TaskQuery(utcnow(), EVERYTHING, complete([Order("title", descending=False)]), archived=True)

    page = world.run(world.part(query, Paging(1, 5, None), exact_up_to=10))
    counted = world.run(world.part(query, Paging(1, 5, None), exact_up_to=TASKS))

    # Nothing is gone, so there is a task of each number.
    assert (page.meta["total"], page.meta["total_is_estimate"]) == (TASKS, True)
    assert (counted.meta["total"], counted.meta["total_is_estimate"]) == (TASKS, False)

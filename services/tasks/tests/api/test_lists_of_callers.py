"""Random lists of callers of all kinds, over places of all kinds: SQL lists what plain Python lists, either way."""

import asyncio
import random
import runpy
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from chassis.clock import utcnow
from chassis.cursors import CursorSigner
from chassis.db.engine import open_database
from chassis.db.row_security import reading
from chassis.filtering.tree import EVERYTHING, Predicate, all_of
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.paging import Paging
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as profile
from hypothesis import strategies as st
from sqlalchemy import text
from tasks_service.bulk_by_filter import repository as by_filter
from tasks_service.bulk_by_filter.rules import reaches_archived
from tasks_service.counting.repository import Counting, count_groups
from tasks_service.db import ROW_SECURITY
from tasks_service.listing.schemas import TaskQuery
from tasks_service.listing.service import Bounds, list_tasks, plan_of
from tasks_service.sorting.rules import KEYS, Order, complete

MODEL = runpy.run_path(str(Path(__file__).parents[1] / "model" / "filters.py"))
fulfils, ZONES = MODEL["fulfils"], MODEL["ZONES"]
SEED, TASKS, EXAMPLES = 20261126, 160, 66
SIGNER = CursorSigner("a secret of the tests, long enough")
BOUNDS = Bounds(10_000, ranked_up_to=1000)
ROLES = ("viewer", "commenter", "editor", "manager")
"""In projects, from the lowest on."""
MANY, FEW = 12, 3
"""How often a task is in one of the first projects, for one time in any of the others: lists are not of one each."""


class World:
    """Two workspaces with projects of all kinds, full and empty, and callers who see different parts of them."""

    def __init__(self, settings):
        self._loop = asyncio.Runner()
        self._database = open_database(settings, application_name="tasks-lists")
        self._random = random.Random(SEED)
        self.people = {one: uuid7() for one in ("owner", "member", "guest", "sharer", "outsider", "stranger")}
        self.labels = [uuid7() for _ in range(3)]
        self.workspaces = [uuid7(), uuid7()]
        first, second = self.workspaces
        self.members = {
            first: {"owner": "owner", "member": "member", "guest": "guest", "sharer": "guest"},
            second: {"outsider": "owner", "member": "guest"},
        }
        self.projects = [
            *(self._project(first) for _ in range(8)),
            *(self._project(first, visibility="private", roles=roles) for roles in ({"guest": "viewer"}, {}, {})),
            self._project(first, visibility="private", roles={"member": "manager", "guest": "commenter"}),
            *(self._project(first, is_archived=True) for _ in range(2)),
            self._project(first, is_archived=True, visibility="private", roles={"guest": "editor"}),
            self._project(first, is_deleted=True),
            self._project(second, roles={"member": "editor"}),
            self._project(second, is_archived=True, roles={"member": "viewer"}),
            self._project(second),
        ]
        self._loop.run(self._fill())

    def _project(self, workspace, *, visibility="workspace", is_archived=False, is_deleted=False, roles=None):
        return {
            "id": uuid7(),
            "workspace_id": workspace,
            "visibility": visibility,
            "member_role": self._random.choice(["viewer", "commenter", "editor"]),
            "is_archived": is_archived,
            "is_deleted": is_deleted,
            "roles": roles or {},
        }

    async def _fill(self):
        crowded = [*self.projects, *self.projects[:2] * MANY, *self.projects[2:5] * FEW]
        everybody = list(self.people.values())
        self.tasks = MODEL["random_tasks"](SEED, people=everybody, labels=self.labels, projects=crowded, count=TASKS)
        for task in self.tasks:
            task["is_deleted"] = self._random.random() < 0.1
            task["shares"] = {
                who: self._random.choice(ROLES[:3])
                for who, often in {"sharer": 0.3, "guest": 0.15, "member": 0.1}.items()
                if self._random.random() < often and task["workspace_id"] == self.workspaces[0]
            }
            task["labelled_by"] = [who for who in ("owner", "sharer") if self._random.random() < 0.2]
        async with self._database.writer.begin() as connection:

            async def rows(statement, **values):
                found = await connection.execute(text(statement), values)
                return found.all() if found.returns_rows else []

            await self._write(rows)
        self.callers = self._callers()

    async def _write(self, rows):
        owner = self.people["owner"]
        for workspace in self.workspaces:
            await rows("INSERT INTO tasks.workspace VALUES (:w, 'W', NULL, :o, 1, now(), now())", w=workspace, o=owner)
            await rows("INSERT INTO tasks.change_counter VALUES (:w, 0)", w=workspace)
            await rows("INSERT INTO tasks.metadata_namespace VALUES (:w, 'app', :o, now())", w=workspace, o=owner)
            for who, role in self.members[workspace].items():
                await rows(
                    "INSERT INTO tasks.member VALUES (uuidv7(), :w, :u, :role, 1, 1, now())",
                    w=workspace,
                    u=self.people[who],
                    role=role,
                )
        for one in self.projects:
            await rows(
                "INSERT INTO tasks.project (id, workspace_id, name, is_inbox, visibility, member_role, created_by,"
                " version, created_at, updated_at)"
                " VALUES (:id, :w, 'P', false, :visibility, :member_role, :o, 1, now(), now())",
                o=owner,
                w=one["workspace_id"],
                **{name: one[name] for name in ("id", "visibility", "member_role")},
            )
            for who, role in one["roles"].items():
                await rows(
                    "INSERT INTO tasks.project_member VALUES (uuidv7(), :w, :id, :u, :role, 1, now())",
                    id=one["id"],
                    w=one["workspace_id"],
                    u=self.people[who],
                    role=role,
                )
        for label in self.labels:
            await rows(
                "INSERT INTO tasks.label (id, workspace_id, name, name_key, created_by, version, created_at,"
                " updated_at) VALUES (:l, :w, CAST(:n AS varchar), CAST(:n AS varchar), :o, 1, now(), now())",
                l=label,
                n=str(label),
                w=self.workspaces[0],
                o=owner,
            )
        await MODEL["keep"](rows, self.tasks, app=owner)
        await self._write_beside(rows)

    async def _write_beside(self, rows):
        """Write who else has tasks, what of them is somebody's own, and what has been put away."""
        owner = self.people["owner"]
        for task in self.tasks:
            beside = {"w": task["workspace_id"], "t": task["id"]}
            for who, role in task["shares"].items():
                await rows(
                    "INSERT INTO tasks.task_share VALUES (uuidv7(), :w, :t, :u, :role, :o, 1, now())",
                    u=self.people[who],
                    role=role,
                    o=owner,
                    **beside,
                )
            for who in task["labelled_by"]:
                label, user = self.labels[-1], self.people[who]
                await rows("INSERT INTO tasks.personal_label VALUES (:w, :u, :t, :l)", u=user, l=label, **beside)
            if task["is_deleted"]:
                await rows("UPDATE tasks.task SET deleted_at = now() WHERE id = :t", t=task["id"])
            [[task["position"]]] = await rows("SELECT position FROM tasks.task WHERE id = :t", t=task["id"])
        for one in self.projects:
            column = "archived_at" if one["is_archived"] else "deleted_at" if one["is_deleted"] else None
            if column:
                await rows(f"UPDATE tasks.project SET {column} = now() WHERE id = :id", id=one["id"])  # noqa: S608 - the column is our own

    def _callers(self):
        people = {who: Principal(user_id=user_id, session_id=uuid7()) for who, user_id in self.people.items()}
        some = frozenset(one["id"] for one in self.projects[:16:3])
        token = {"session_id": uuid7(), "via": "token", "scopes": frozenset({"tasks:read"})}
        tokens = {
            f"{who} with a token for {what}": Principal(user_id=self.people[who], **token, **restriction)
            for who in ("owner", "member", "sharer")
            for what, restriction in {
                "a workspace": {"workspace_id": self.workspaces[0]},
                "projects": {"project_ids": some},
            }.items()
        }
        return {**people, **tokens}

    def role(self, who, task):
        """Return what a caller is in a task by plain rules, and None where that is nothing."""
        caller = self.callers[who]
        name = who.split()[0]
        of_workspace = self.members[task["workspace_id"]].get(name)
        place = next(one for one in self.projects if one["id"] == task["project_id"])
        is_there = not (task["is_deleted"] or place["is_deleted"])
        is_reached = caller.reaches_workspace(task["workspace_id"]) and caller.reaches_project(place["id"])
        if of_workspace is None or not is_there or not is_reached:
            return None
        if of_workspace == "owner":
            return "manager"
        roles = [place["roles"].get(name), task["shares"].get(name)]
        if of_workspace == "member" and place["visibility"] == "workspace":
            roles.append(place["member_role"])
        held = [role for role in roles if role is not None]
        return max(held, key=ROLES.index) if held else None

    def as_seen_by(self, who):
        """Return the tasks that a caller sees, with what is the caller's own in them."""
        caller, name = self.callers[who], who.split()[0]
        is_app = caller.is_session and name == "owner"
        return [
            {
                **task,
                "role": self.role(who, task),
                "own_labels": self.labels[-1:] if name in task["labelled_by"] else [],
                "metadata_is_mine": task["metadata_is_mine"] and is_app,
            }
            for task in self.tasks
            if self.role(who, task) is not None
        ]

    def expected(self, who, query):
        """Return the tasks of a list, in its order."""
        me, zone = self.callers[who].user_id, query.zone.key
        found = [one for one in self.as_seen_by(who) if fulfils(one, query.node, me=me, zone=zone)]
        if not (query.archived or reaches_archived(query.node)):
            found = [one for one in found if not one["is_archived"]]
        return sorted_by(query.sort, found)

    def run(self, who, ask, *args, **kwargs):
        """Ask by a connection as requests of a caller have it."""

        async def run():
            async with reading(self._database, ROW_SECURITY.of(self.callers[who].user_id)) as connection:
                return await ask(connection, self.callers[who], *args, **kwargs)

        return self._loop.run(run())

    def close(self):
        self._loop.run(self._database.close())
        self._loop.close()


def _sorted_as(task, name):
    value = task[name]
    if name == "due" and value is not None:
        when = value[1]
        moment = when if isinstance(when, datetime) else datetime.combine(when, time())
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if name == "priority":
        return MODEL["PRIORITIES"].index(value)
    return value.lower() if name == "title" else value


def sorted_by(sort, tasks):
    """Return tasks in the order of a sort by Python: nulls last, and no ties left by the id."""
    for order in reversed(sort):
        there = [one for one in tasks if _sorted_as(one, order.name) is not None]
        there.sort(key=lambda one, order=order: _sorted_as(one, order.name), reverse=order.descending)
        tasks = [*there, *(one for one in tasks if _sorted_as(one, order.name) is None)]
    return tasks


async def part(connection, caller, query, paging, bounds=BOUNDS):
    return await list_tasks(connection, caller=caller, query=query, paging=paging, signer=SIGNER, bounds=bounds)


async def walked(connection, caller, query, per_page, *, turn_at):
    """Return the parts of a list to its end, and those back to its beginning from one of them on."""
    forth, back, cursor = [], [], ""
    while cursor is not None:
        forth.append(await part(connection, caller, query, Paging(1, per_page, cursor)))
        cursor = forth[-1].meta["next_cursor"]
    cursor = forth[turn_at % len(forth)].meta["prev_cursor"]
    while cursor is not None:
        back.insert(0, await part(connection, caller, query, Paging(1, per_page, cursor)))
        cursor = back[0].meta["prev_cursor"]
    return forth, back


async def found_to_change(connection, caller, query):
    """Return what a change by the filter finds."""
    return await by_filter.find(
        connection,
        caller=caller,
        node=query.node,
        zone=query.zone,
        archived=reaches_archived(query.node),
        limit=TASKS // 4,
    )


async def counted(connection, caller, query, dimensions, sample=None):
    plan = plan_of(query, caller)
    counts = await count_groups(
        connection,
        caller=caller,
        counting=Counting(plan.reach, plan.found, dimensions, is_together=True),
        zone=query.zone.key,
        sample=sample,
        parameters=plan.parameters,
    )
    return Counter({one.key: one.number for one in counts.groups}), counts.total


def ids_of(rows):
    return [row["id"] for row in rows]


@pytest.fixture(scope="module")
def world(database_settings) -> Iterator[World]:
    found = World(database_settings)
    yield found
    found.close()


def queries(world):
    """Return a strategy of lists: filters with and without places that they name, sorts, and with what is archived."""
    people = list(world.people.values())
    trees = MODEL["random_trees"](st, world.tasks, people, world.labels)
    projects = st.sampled_from([*(one["id"] for one in world.projects), uuid7()])
    workspaces = st.sampled_from([*world.workspaces, uuid7()])

    def naming(field, values, *operators):
        one = st.builds(Predicate, st.just(field), st.just("="), values.map(lambda value: (value,)))
        several = st.lists(values, min_size=2, max_size=6, unique=True).map(tuple)
        return one | st.builds(Predicate, st.just(field), st.sampled_from(operators), several)

    users, of_sets = st.sampled_from([*people, uuid7()]), ("has_any", "has_all")
    places = naming("project_id", projects, "in") | naming("workspace_id", workspaces, "in")
    # Lists begin where filters say, if they say it for all tasks.
    begins = (
        naming("assignees", users, *of_sets) | naming("watchers", users, *of_sets) | naming("assigned_to", users, "in")
    )
    archived = st.builds(Predicate, st.just("is_archived"), st.just("="), st.booleans().map(lambda value: (value,)))
    # What is the caller's own, or its app's.
    own = st.sampled_from(
        [
            Predicate("labels", "=", tuple(world.labels[-1:])),
            Predicate("labels", "is_null"),
            Predicate("is_starred", "=", (True,)),
            Predicate("meta.app.n", "=", (1,)),
            Predicate("meta.app.n", "is_null"),
        ]
    )
    whole = st.just(EVERYTHING)
    nodes = st.lists(places | begins | archived | own, max_size=2).flatmap(
        lambda named: (whole | trees).map(lambda tree: all_of([*named, tree]))
    )
    keys = st.sampled_from([name for name in KEYS if name != "rank"])
    orders = st.lists(st.builds(Order, keys, st.booleans()), min_size=1, max_size=4, unique_by=lambda one: one.name)
    return st.builds(
        lambda node, sort, zone, archived: TaskQuery(utcnow(), node, sort, ZoneInfo(zone), archived),
        whole | trees | nodes | nodes,
        orders.map(complete),
        st.sampled_from(ZONES),
        st.booleans(),
    )


def test_m3_random_lists_of_all_callers_are_those_of_python_there_and_back(world):
    sizes, alone, turns = [], Counter(), list(world.callers)

    @profile(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(
        query=queries(world),
        per_page=st.sampled_from([1, 2, 3, 5, 8, 13, 25, 60]),
        turn_at=st.integers(0, 40),
    )
    def check(query, per_page, turn_at):
        who = turns[len(sizes) % len(turns)]
        expected = world.expected(who, query)
        forth, back = world.run(who, walked, query, per_page, turn_at=turn_at)
        parts = [expected[at : at + per_page] for at in range(0, len(expected), per_page)] or [[]]
        assert [ids_of(one.rows) for one in forth] == [ids_of(one) for one in parts]
        assert [[row["role"] for row in one.rows] for one in forth] == [[task["role"] for task in one] for one in parts]
        assert [ids_of(one.rows) for one in back] == [ids_of(one) for one in parts[: turn_at % len(parts)]]
        page = world.run(who, part, query, Paging(turn_at + 1, per_page, None))
        start = turn_at * per_page
        assert ids_of(page.rows) == ids_of(expected[start : start + per_page])
        assert (page.meta["total"], page.meta["total_is_estimate"]) == (len(expected), False)
        sizes.append(len(expected))
        alone[who] += 0 < len(expected) < len(world.as_seen_by(who))

    check()
    assert len([size for size in sizes if size]) > EXAMPLES // 3
    # Each of them has seen a part of what there is for it.
    assert {who for who in world.callers if world.as_seen_by(who)} == set(+alone)


def test_m3_what_a_change_by_filter_finds_and_what_is_counted_is_what_is_listed(world):
    turns, totals = list(world.callers), []

    @profile(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(query=queries(world))
    def check(query):
        who = turns[len(totals) % len(turns)]
        listed = world.expected(who, query)
        groups, total = world.run(who, counted, query, ("status", "assignee"))
        keys = [(task["status"], one and str(one)) for task in listed for one in (task["assignees"] or [None])]
        assert (groups, total) == (Counter(keys), len(listed))
        if query.archived and not reaches_archived(query.node):
            listed = [one for one in listed if not one["is_archived"]]
        found, count = world.run(who, found_to_change, query)
        assert (found, count) == (sorted(ids_of(listed))[: TASKS // 4], len(listed))
        totals.append(total)

    check()


def test_d11_what_stands_for_more_is_counted_as_more_however_many_places_there_are(world):
    query = TaskQuery(utcnow(), EVERYTHING)
    there = len(world.expected("owner", query))
    shown = {one["project_id"] for one in world.expected("owner", query)}
    for of_each in (3.1, 3.4, 3.6, 4):
        _, total = world.run("owner", counted, query, ("status", "assignee"), int(of_each * len(shown)))
        assert there * 3 // 4 < total < there * 5 // 4


def test_d4_a_total_of_more_shared_tasks_than_are_counted_is_told_as_an_estimate(world):
    query = TaskQuery(utcnow(), EVERYTHING, archived=True)
    there = len(world.expected("sharer", query))
    for bound, told in ((there - 1, (there, True)), (there, (there, False)), (3, (4, True))):
        meta = world.run("sharer", part, query, Paging(1, 2, None), BOUNDS._replace(exact_up_to=bound)).meta
        assert (meta["total"], meta["total_is_estimate"]) == told

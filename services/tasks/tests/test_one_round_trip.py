"""Tasks in one round trip: read by the statement of the code, over a connection that stays as it was (ADR 19)."""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from chassis.db.binding import AS_IT_IS
from chassis.db.direct import BINDS_ITSELF, DIALECT, reading_directly
from chassis.db.engine import Database, open_database
from chassis.identity import Principal
from chassis.ids import uuid7
from sqlalchemy import literal_column, select
from sqlalchemy.exc import DBAPIError
from tasks_service.db import ROW_SECURITY
from tasks_service.kept_pages.repository import STANDINGS, find_standings, standing
from tasks_service.tasks.access import tasks_together
from tasks_service.tasks.repository import VISIBLE_TASKS, find_visible, find_visible_together, visible_by_id
from tasks_service.visibility.repository import WHOLE

WRITE_A_MIGRATION = (
    "What the code reads is not what the function reads: write a migration that makes a function of another name from"
    " this statement, see 0041, call it in the repository, and drop this one in the release after."
)
FUNCTION = """
    SELECT prosrc, prosecdef, provolatile::text, lanname::text, proconfig,
        has_function_privilege('tasks_caller', pg_proc.oid, 'EXECUTE')
    FROM pg_proc JOIN pg_language ON pg_language.oid = prolang
    WHERE pg_proc.oid = '{}'::regprocedure
"""
STATE = select(
    literal_column("current_user::text").label("user"),
    literal_column("current_setting('role')").label("role"),
    literal_column("coalesce(current_setting('taskloom.caller', true), '')").label("caller"),
    literal_column("coalesce(current_setting('taskloom.workspaces', true), '')").label("kept"),
    literal_column("pg_backend_pid()").label("pid"),
).execution_options(**{BINDS_ITSELF: True})
FAILS_AFTERWARDS = VISIBLE_TASKS.with_only_columns(literal_column("1 / (count(*) - 1)"))
BOUND_TO = "SELECT current_user::text, current_setting('taskloom.caller'), current_setting('taskloom.workspaces')"
TITLE = "SELECT title FROM tasks.visible_tasks(ARRAY[$1::uuid], ARRAY[$2::uuid])"
UNTIL_PLANS_ARE_KEPT = 8


def statement_of_code(statement: Any) -> str:
    """Return a statement with the names of a function's parameters, and with what else is fixed in it."""
    compiled = statement.compile(dialect=DIALECT)
    names, fixed = compiled.positiontup, compiled.params
    own = {"caller_id": "of_caller", "task_id": "of_task"}

    def put(found: re.Match[str]) -> str:
        name = names[int(found[1]) - 1]
        return own.get(name) or repr(fixed[name])

    return re.sub(r"\$(\d+)::\w+", put, str(compiled)).replace("SELECT", "SELECT place,", 1)


def as_one_line(sql: str) -> str:
    return re.sub(r"\( ", "(", " ".join(sql.split()))


FUNCTIONS = [
    ("tasks.visible_tasks(uuid[],uuid[])", visible_by_id(WHOLE), VISIBLE_TASKS),
    ("tasks.standings(uuid[])", standing(WHOLE), STANDINGS),
]


@pytest.mark.parametrize(("name", "statement", "_call"), FUNCTIONS)
async def test_r36_the_function_has_the_statement_of_the_code(rows, name, statement, _call):
    [(source, is_definer, volatility, language, settings, may_be_called)] = await rows(FUNCTION.format(name))
    of_function = source.partition("RETURN QUERY")[2].partition(";")[0]
    assert as_one_line(of_function) == as_one_line(statement_of_code(statement)), WRITE_A_MIGRATION
    assert (is_definer, volatility, language, settings, may_be_called) == (False, "v", "plpgsql", None, True)


@pytest.fixture
async def driver(database_settings) -> AsyncIterator[asyncpg.Connection]:
    found = await asyncpg.connect(database_settings.url.get_secret_value())
    yield found
    await found.close()


@pytest.mark.parametrize(("_name", "statement", "call"), FUNCTIONS)
async def test_r36_the_function_has_the_columns_of_the_statement(driver, _name, statement, call):
    of_code, of_function = [await driver.prepare(str(one.compile(dialect=DIALECT))) for one in (statement, call)]
    columns = [[(one.name, one.type) for one in made.get_attributes()] for made in (of_code, of_function)]
    assert [("asked_at", columns[1][0][1]), *columns[0]] == columns[1], WRITE_A_MIGRATION


@pytest.fixture
async def one_connection(database_settings) -> AsyncIterator[Database]:
    found = open_database(database_settings.model_copy(update={"pool_size": 1}), application_name="tasks-one")
    yield found
    await found.close()


async def asked(database: Database, statement: Any, values: Any) -> list[Any]:
    async with reading_directly(database, AS_IT_IS) as reader:
        return list((await reader.execute(statement, values)).mappings().all())


def together(*asked: tuple[UUID, UUID]) -> dict[str, list[UUID]]:
    """Return the parameters of the function for callers, each with a task."""
    return {"of_callers": [caller for caller, _ in asked], "of_tasks": [task for _, task in asked]}


async def test_r36_a_read_in_one_round_trip_leaves_the_connection_as_it_was(one_connection, roster):
    there = roster.ids["owner"], UUID((await roster.task())["id"])
    absent, strange = (there[0], uuid7()), (uuid7(), there[1])
    for bound in (None, ROW_SECURITY.of(uuid7()), ROW_SECURITY.of(roster.ids["viewer"]), None):
        async with reading_directly(one_connection, bound) as reader:
            before = (await reader.execute(STATE, {})).mappings().all()
        assert (before[0]["role"], before[0]["caller"]) == ((bound.role, bound.caller) if bound else ("none", ""))
        for each, found in (((there,), 1), ((absent,), 0), ((strange,), 0), ((there, absent, strange, there), 2)):
            assert len(await asked(one_connection, VISIBLE_TASKS, together(*each))) == found
            assert await asked(one_connection, STATE, {}) == before
        with pytest.raises(DBAPIError, match="division by zero"):
            await asked(one_connection, FAILS_AFTERWARDS, together(there))
        assert await asked(one_connection, STATE, {}) == before


@pytest.fixture
async def pairs(roster) -> list[tuple[str, UUID]]:
    """Callers, each with a task, some of which they see: mixed up, of two workspaces, and some of them twice."""
    private = {"name": "Q", "workspace_id": str(roster.workspace_id), "visibility": "private"}
    hidden = (await roster.ok("owner", "POST", "/projects", private))["id"]
    made = [await roster.task(), await roster.task(project_id=hidden), await roster.task(), await roster.task()]
    made += [await roster.ok(name, "POST", "/tasks", {"title": "in the Inbox"}) for name in ("member", "stranger")]
    shared, trashed = made[2]["id"], made[3]["id"]
    await roster.ok("owner", "PUT", f"/tasks/{shared}/shares/{roster.id('guest')}", {"role": "viewer"})
    await roster.ok("owner", "DELETE", f"/tasks/{trashed}")
    tasks = [*(UUID(one["id"]) for one in made), uuid7()]
    every = [(name, task) for name in ("owner", "member", "guest", "stranger") for task in tasks]
    return random.Random(7).sample([*every, *every], k=2 * len(every))


async def test_r36_a_read_in_one_round_trip_is_of_its_caller_whomever_the_connection_is_bound_to(
    one_connection, roster, pairs
):
    asked_for = [(roster.ids[name], task) for name, task in pairs]
    async with one_connection.primary.connect() as owner:
        alone = [
            await find_visible(owner, caller=Principal(user_id, uuid7()), task_id=task) for user_id, task in asked_for
        ]
        # What is asked through SQLAlchemy is recorded, and has to work on the schema of the next release.
        same = (await owner.execute(VISIBLE_TASKS, together(*asked_for))).mappings().all()
    known = [one and dict(one) for one in alone]
    assert len({name for (name, _), one in zip(pairs, alone, strict=True) if one}) == 4
    for bound in (None, *(ROW_SECURITY.of(roster.ids[name]) for name in ("owner", "stranger")), None):
        async with reading_directly(one_connection, bound):
            pass
        async with reading_directly(one_connection, AS_IT_IS) as reader:
            found = await find_visible_together(reader, asked_for)
        as_dicts = [one and {name: value for name, value in one.items() if name != "asked_at"} for one in found]
        assert as_dicts == known, bound
        assert [dict(one) for one in same] == [dict(one) for one in found if one is not None]


async def test_r36_where_the_logs_stand_is_told_to_each_as_what_they_see(one_connection, roster):
    await roster.task()
    inbox = await roster.ok("member", "POST", "/tasks", {"title": "in the Inbox"})
    callers = [roster.ids[name] for name in ("owner", "member", "stranger", "guest", "member")]
    async with one_connection.primary.connect() as owner:
        # What is asked through SQLAlchemy is recorded, and has to work on the schema of the next release.
        asked_for = [Principal(user_id, uuid7()) for user_id in callers]
        alone = [(await owner.execute(standing(WHOLE), {"caller_id": one.user_id})).one() for one in asked_for]
        await owner.execute(STANDINGS, {"of_callers": callers})
    for bound in (None, ROW_SECURITY.of(callers[0]), ROW_SECURITY.of(callers[2])):
        async with reading_directly(one_connection, bound) as reader:
            before = (await reader.execute(STATE, {})).mappings().all()
        async with reading_directly(one_connection, AS_IT_IS) as reader:
            found = await find_standings(reader, callers)
        assert [tuple(one) for one in found] == [tuple(one) for one in alone], inbox["id"]
        assert await asked(one_connection, STATE, {}) == before
    at = [one.log_at for one in found]
    # The owner and the guest see the same workspace; the member has an Inbox besides.
    assert (at[0] == at[3], at[1] == at[4], at[2]) == (True, True, None)
    assert at[0] != at[1]


async def test_r36_who_reads_at_the_same_time_gets_their_own(database, roster, pairs):
    load = tasks_together(database)
    asked_for = [(roster.ids[name], task) for name, task in pairs]
    alone = [await load.ask(one) for one in asked_for]
    for _ in range(5):
        found = await asyncio.gather(*(load.ask(one) for one in asked_for))
        assert [one and one["id"] for one in found] == [one and one["id"] for one in alone]
        assert [one and one["role"] for one in found] == [one and one["role"] for one in alone]


@asynccontextmanager
async def policy_for_the_block(driver: asyncpg.Connection, policy: str) -> AsyncIterator[None]:
    changed = driver.transaction()
    await changed.start()
    await driver.execute(f"ALTER POLICY tasks_caller ON tasks.task USING ({policy})")
    yield
    await changed.rollback()


async def test_r36_the_policies_say_what_is_read_in_one_round_trip(driver, roster):
    """Whoever has logged in passes all of them. A plan is kept, and made anew when a policy has become another."""
    owner, task_id = roster.ids["owner"], (await roster.task(title="a"))["id"]
    for _ in range(UNTIL_PLANS_ARE_KEPT):
        assert await driver.fetchval(TITLE, owner, task_id) == "a"
    async with policy_for_the_block(driver, "false"):
        assert await driver.fetchval(TITLE, owner, task_id) is None
        assert tuple(await driver.fetchrow(BOUND_TO)) == (
            ROW_SECURITY.role,
            str(owner),
            f"{{{roster.workspace_id}}}",
        )
    assert await driver.fetchval(TITLE, owner, task_id) == "a"


SEES_ITS_OWN = "created_by = (SELECT tasks.caller())"
TITLES = "SELECT title FROM tasks.visible_tasks($1, $2) ORDER BY asked_at"
STANDING = "SELECT log_at FROM tasks.standings($1) ORDER BY asked_at"


async def test_r36_the_policies_say_of_each_caller_of_a_go_what_is_read(driver, roster):
    """All of them see the task by the statement alone."""
    task_id = UUID((await roster.task(title="a"))["id"])
    callers = [roster.ids[name] for name in ("admin", "owner", "member", "owner")]
    async with policy_for_the_block(driver, SEES_ITS_OWN):
        for _ in range(UNTIL_PLANS_ARE_KEPT):
            rows = await driver.fetch(TITLES, callers, [task_id] * len(callers))
            assert [row["title"] for row in rows] == ["a", "a"]
    assert len(await driver.fetch(TITLES, callers, [task_id] * len(callers))) == 4


async def test_r36_the_policies_say_where_the_logs_stand_too(driver, roster):
    """Whoever has logged in passes all of them."""
    await roster.task()
    assert await driver.fetchval(STANDING, [roster.ids["owner"]]) is not None
    changed = driver.transaction()
    await changed.start()
    await driver.execute("ALTER POLICY tasks_caller ON tasks.change_counter USING (false)")
    assert await driver.fetchval(STANDING, [roster.ids["owner"]]) is None
    await changed.rollback()


async def test_r36_a_plan_that_is_kept_reads_for_each_caller_what_the_policies_let_that_one(driver, roster):
    """All of them see the task by the statement alone."""
    task_id = (await roster.task(title="a"))["id"]
    async with policy_for_the_block(driver, SEES_ITS_OWN):
        for _ in range(UNTIL_PLANS_ARE_KEPT):
            found = {name: await driver.fetchval(TITLE, roster.ids[name], task_id) for name in ("owner", "admin")}
            assert found == {"owner": "a", "admin": None}
    assert await driver.fetchval(TITLE, roster.ids["admin"], task_id) == "a"

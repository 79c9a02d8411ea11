"""Writes past SQLAlchemy's sessions: they are there as a whole or not at all, whoever goes or fails meanwhile."""

import asyncio
from contextlib import suppress

import asyncpg
import pytest
from chassis.db.binding import Bound
from chassis.db.direct_writing import MADE_ONCE, NeedsSession, writing_directly
from chassis.db.failures import explain, sqlstate
from chassis.db.telling import say_after_commit
from chassis.db.transactions import transaction as transaction_of
from chassis.errors import ErrorKind, InvalidInput
from chassis.web.repeating import TIMES
from chassis.web.status import STATUS_OF_KIND
from sqlalchemy import Integer, String, Text, bindparam, cast, column, func, insert, literal_column, select, table, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError, InvalidRequestError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from testkit.proxy import proxied
from testkit.waiting import eventually

THING = table("thing", column("id", Integer), column("name", String), column("parent_id", Integer))
ADD = (
    insert(THING).values(id=bindparam("new_id"), name=bindparam("new_name")).returning(THING.c.id)
).execution_options(**MADE_ONCE)
ADD_BELOW = insert(THING).values(id=bindparam("new_id"), parent_id=bindparam("below")).execution_options(**MADE_ONCE)
PID = select(func.pg_backend_pid().label("pid")).execution_options(**MADE_ONCE)
SLEEP = select(cast(func.pg_sleep(bindparam("seconds")), Text)).execution_options(**MADE_ONCE)
CALLER = select(func.coalesce(func.current_setting("test.caller", True), "").label("caller")).execution_options(
    **MADE_ONCE
)


async def names(database):
    async with database.reader.connect() as connection:
        return [name for (name,) in await connection.execute(text("SELECT name FROM thing ORDER BY id"))]


async def pid_of(database):
    async with writing_directly(database, None) as transaction:
        return (await transaction.execute(PID, {})).mappings().one()["pid"]


async def test_r37_what_is_done_is_there_after_the_block_and_not_before(database):
    async with writing_directly(database, None) as transaction:
        added = await transaction.execute(ADD, {"new_id": 2, "new_name": "second"})
        assert await names(database) == ["first"]
    assert added.mappings().one()["id"] == 2
    assert await names(database) == ["first", "second"]


async def test_r37_what_is_refused_leaves_nothing_behind(open_with, database):
    async with open_with(pool_size=1) as one:
        before = await pid_of(one)
        with pytest.raises(InvalidInput):
            async with writing_directly(one, None) as transaction:
                await transaction.execute(ADD, {"new_id": 2, "new_name": "second"})
                raise InvalidInput
        with pytest.raises(DBAPIError) as wrong:
            async with writing_directly(one, None) as transaction:
                await transaction.execute(ADD, {"new_id": 2, "new_name": "second"})
                await transaction.execute(ADD, {"new_id": 1, "new_name": "again"})
        assert await pid_of(one) == before
    assert sqlstate(wrong.value) == "23505"
    assert await names(database) == ["first"]


async def test_r37_what_the_commit_refuses_leaves_nothing_behind(open_with, database):
    async with open_with(pool_size=1) as one:
        before = await pid_of(one)
        with pytest.raises(DBAPIError) as refused:
            async with writing_directly(one, None) as transaction:
                await transaction.execute(ADD_BELOW, {"new_id": 2, "below": 77})
        assert await pid_of(one) == before
    assert sqlstate(refused.value) == "23503"
    assert await names(database) == ["first"]


async def test_r37_what_a_session_alone_does_is_refused_and_leaves_nothing_behind(database):
    async def by_a_statement_of_now(transaction):
        await transaction.execute(text("SELECT 1"), {})

    async def by_a_savepoint(transaction):
        await transaction.begin_nested()

    async def by_a_scalar(transaction):
        await transaction.scalar(PID)

    async def without_values(transaction):
        await transaction.execute(PID)

    async def with_many_values(transaction):
        await transaction.execute(ADD, [{"new_id": one, "new_name": "one of many"} for one in (3, 4)])

    async def with_options(transaction):
        await transaction.execute(PID, {}, execution_options={"yield_per": 1})

    async def by_another_look(transaction):
        (await transaction.execute(PID, {})).scalar_one()

    for asking in (
        by_a_statement_of_now,
        by_a_savepoint,
        by_a_scalar,
        without_values,
        with_many_values,
        with_options,
        by_another_look,
    ):
        with pytest.raises(NeedsSession):
            async with writing_directly(database, None) as transaction:
                await transaction.execute(ADD, {"new_id": 2, "new_name": "second"})
                await asking(transaction)
    assert await names(database) == ["first"]


async def test_r36_it_is_bound_to_its_caller_and_to_nobody_afterwards(open_with):
    bound = Bound("none", "test.caller", "O'Ada", "test.kept", "SELECT NULL")
    async with open_with(pool_size=1) as one:
        for whose, caller in ((bound, "O'Ada"), (None, "")):
            async with writing_directly(one, whose) as transaction:
                assert (await transaction.execute(CALLER, {})).mappings().one()["caller"] == caller


async def test_r36_what_can_not_be_bound_ends_and_its_connection_goes_on(open_with):
    wrong = Bound("no_such_role", "test.caller", "Ada", "test.kept", "SELECT NULL")
    async with open_with(pool_size=1) as one:
        before = await pid_of(one)
        with pytest.raises(DBAPIError):
            async with writing_directly(one, wrong):
                pytest.fail("nobody is bound so")
        assert await pid_of(one) == before


async def test_r37_json_is_written_as_sqlalchemy_writes_it(database):
    given = bindparam("given", type_=JSONB)
    asked = select(given.label("json"), func.jsonb_typeof(given).label("kind")).execution_options(**MADE_ONCE)
    for value in ({"a": [1, 2.5, "\u00fc", None, {"b": True}]}, [], "text", 7, None):
        async with writing_directly(database, None) as transaction:
            found = dict((await transaction.execute(asked, {"given": value})).mappings().one())
        async with database.writer.connect() as connection:
            assert found == dict((await connection.execute(asked, {"given": value})).mappings().one())


async def test_r46_others_are_told_after_the_commit_and_of_nothing_else(database, database_url):
    said = []
    listener = await asyncpg.connect(database_url)
    await listener.add_listener("news", lambda *told: said.append(told[-1]))
    with pytest.raises(InvalidInput):
        async with writing_directly(database, None) as transaction:
            say_after_commit(transaction, "news", "never")
            raise InvalidInput
    async with writing_directly(database, None) as transaction:
        say_after_commit(transaction, "news", "one")
    await eventually(lambda: _is(said == ["one"]))
    await listener.close()


@pytest.mark.parametrize("seconds", [0.001, 0.5])
async def test_r36_who_is_cancelled_while_it_begins_leaves_nothing_open(open_with, database, seconds):
    slow = Bound("none", "test.caller", "Ada", "test.kept", f"SELECT pg_sleep({seconds})::text")

    async def began(pid):
        async with database.reader.connect() as connection:
            found = await connection.execute(text("SELECT query FROM pg_stat_activity WHERE pid = :pid"), {"pid": pid})
            return "test.caller" in found.scalar_one()

    async def begin(one):
        async with writing_directly(one, slow):
            await asyncio.Event().wait()

    async with open_with(pool_size=1) as one:
        before = await pid_of(one)
        task = asyncio.create_task(begin(one))
        await eventually(lambda: began(before))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with writing_directly(one, None) as transaction:
            assert (await transaction.execute(CALLER, {})).mappings().one()["caller"] == ""
        async with transaction_of(one) as session:
            await session.execute(text("SELECT 1"))


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_r38_a_rollback_goes_on_however_often_its_caller_is_cancelled(open_with, database, working, times):
    async def sleep(one):
        async with writing_directly(one, None) as transaction:
            await transaction.execute(ADD, {"new_id": 2, "new_name": "second"})
            await transaction.execute(SLEEP, {"seconds": 60.0})

    async with open_with(pool_size=1) as one:
        before = await pid_of(one)
        task = asyncio.create_task(sleep(one))
        await working(1)
        for _ in range(times):
            task.cancel()
            # As far as it comes by itself: the second one meets the wait for the end of the first.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        async with database.writer.begin() as other:
            await other.execute(text("LOCK TABLE thing IN EXCLUSIVE MODE NOWAIT"))
        assert await pid_of(one) == before
    assert await names(database) == ["first"]


async def test_r38_a_rollback_goes_on_whoever_is_cancelled_meanwhile(open_with, database):
    async def refuse(one, is_refused):
        async with writing_directly(one, None) as transaction:
            await transaction.execute(ADD, {"new_id": 2, "new_name": "second"})
            asyncio.get_running_loop().call_soon(is_refused.set)
            raise InvalidInput

    async with open_with(pool_size=1) as one:
        before = await pid_of(one)
        is_refused = asyncio.Event()
        task = asyncio.create_task(refuse(one, is_refused))
        await is_refused.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await pid_of(one) == before
    assert await names(database) == ["first"]


async def test_r37_a_failure_that_is_passed_over_is_not_taken_for_done(database):
    with pytest.raises(InvalidRequestError):
        async with writing_directly(database, None) as transaction:
            with suppress(DBAPIError):
                await transaction.execute(ADD, {"new_id": 1, "new_name": "again"})
    assert await names(database) == ["first"]


async def test_r39_a_database_that_is_not_there_is_told_as_by_a_session(open_with, database_url):
    told = []
    async with open_with(url=f"{database_url}_of_nobody") as one:
        for way in (writing_directly(one, None), transaction_of(one)):
            with pytest.raises(DBAPIError) as caught:
                async with way as transaction:
                    await transaction.execute(PID, {})
            told.append(explain(caught.value).kind)
    assert told[0] == told[1] == ErrorKind.INTERNAL


async def test_r38_a_commit_goes_on_whoever_is_cancelled_meanwhile(open_with, database, database_url):
    async def add(one, is_committing):
        async with writing_directly(one, None) as transaction:
            await transaction.execute(ADD_BELOW, {"new_id": 2, "below": 1})
            is_committing.set()

    async with database.writer.begin() as locking, open_with(pool_size=1) as one:
        # The commit looks whether what it is below is there, and waits for this.
        await locking.execute(text("SELECT 1 FROM thing WHERE id = 1 FOR UPDATE"))
        is_committing = asyncio.Event()
        task = asyncio.create_task(add(one, is_committing))
        await is_committing.wait()
        await eventually(lambda: _waits(database))
        task.cancel()
        assert await asyncio.wait([task], timeout=0.5) == (set(), {task})
        await locking.rollback()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with database.reader.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM thing"))).scalar_one() == 2


async def _waits(database):
    query = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query = 'COMMIT'")
    async with database.reader.connect() as connection:
        return (await connection.execute(query)).scalar_one() == 1


async def test_r37_a_connection_that_is_lost_is_503_and_replaced(open_with, database_url, database):
    for lost in ("cut_request", "cut_reply"):
        async with proxied(database_url) as (proxy, url), open_with(url=url, pool_size=1) as one:
            before = await pid_of(one)
            setattr(proxy, lost, b"COMMIT")
            with pytest.raises(DBAPIError) as caught:
                async with writing_directly(one, None) as transaction:
                    await transaction.execute(ADD, {"new_id": len(lost), "new_name": lost[4:]})
            assert STATUS_OF_KIND[explain(caught.value).kind] == 503
            # Nobody knows by that whether it was done, so nobody may do it again.
            assert sqlstate(caught.value) not in TIMES
            assert await pid_of(one) != before
    assert await names(database) == ["first", "reply"]


async def test_r37_a_server_that_is_silent_gives_its_connection_up(open_with):
    async with open_with(pool_size=1, command_seconds=0.2, statement_seconds=5) as one:
        before = await pid_of(one)
        with pytest.raises(TimeoutError):
            async with writing_directly(one, None) as transaction:
                await transaction.execute(SLEEP, {"seconds": 4.0})
        assert await pid_of(one) != before


async def test_r37_who_waits_too_long_for_a_connection_is_answered_503(open_with):
    async with open_with(pool_size=1, write_wait_seconds=0.1) as one, one.writer.connect():
        with pytest.raises(PoolTimeout) as caught:
            await pid_of(one)
    assert STATUS_OF_KIND[explain(caught.value).kind] == 503


async def test_r39_a_statement_that_fails_is_explained(open_with):
    wrong = select(literal_column("1 / 0")).execution_options(**MADE_ONCE)
    async with open_with(pool_size=1, statement_seconds=0.1) as one:
        told = []
        for statement, values in ((SLEEP, {"seconds": 5.0}), (wrong, {})):
            with pytest.raises(DBAPIError) as caught:
                async with writing_directly(one, None) as transaction:
                    await transaction.execute(statement, values)
            told.append(STATUS_OF_KIND[explain(caught.value).kind])
    assert told == [503, 422]


async def _is(value):
    return value

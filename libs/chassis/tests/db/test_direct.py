"""Reads past SQLAlchemy's execution: the same rows and failures, and no connection with something under way."""

import asyncio

import pytest
from chassis.db.binding import AS_IT_IS, Bound
from chassis.db.direct import BINDS_ITSELF, KeptStatements, NeedsSqlalchemy, Unbound, reading_directly
from chassis.db.failures import explain, is_lost, sqlstate
from chassis.errors import InvalidInput
from chassis.web.status import STATUS_OF_KIND
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    PickleType,
    String,
    Table,
    Text,
    bindparam,
    cast,
    func,
    insert,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout


async def first(statement, database, values):
    """Return the first row, or None."""
    async with reading_directly(database, None) as reader:
        found = (await reader.execute(statement, values)).mappings().all()
    return dict(found[0]) if found else None


PID = select(func.pg_backend_pid().label("pid"))
SLEEP = select(func.pg_backend_pid().label("pid"), cast(func.pg_sleep(bindparam("seconds")), Text))


async def test_r37_a_row_is_what_it_is_by_sqlalchemy(database):
    statement = select(
        literal_column("""'{"a": [1, 2.5, "\u00fc", null, {"b": true}]}'""", JSONB).cast(JSONB).label("json"),
        literal_column("'0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11'").cast(PG_UUID(as_uuid=True)).label("id"),
        literal_column("'{0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11}'").cast(ARRAY(PG_UUID(as_uuid=True))).label("ids"),
        literal_column("'2026-12-01 09:00+02'::timestamptz").label("at"),
        literal_column("'2026-12-01 09:00'::timestamp").label("local"),
        literal_column("'2026-12-01'::date").label("day"),
        literal_column("NULL::text").label("nothing"),
        (bindparam("number", type_=Integer) + 1).label("number"),
    )
    found = await first(statement, database, {"number": 41})
    async with database.reader.connect() as connection:
        row = (await connection.execute(statement, {"number": 41})).mappings().one()
    assert found == dict(row)
    assert {name: type(value) for name, value in found.items()} == {name: type(value) for name, value in row.items()}
    assert found["number"] == 42


async def test_r37_there_may_be_no_row(database):
    assert await first(PID.where(literal_column("false")), database, {}) is None


async def test_r36_a_connection_that_is_taken_as_it_is_stays_bound_to_whom_it_is(open_with):
    caller = select(func.coalesce(func.current_setting("test.caller", True), "").label("caller"))
    caller = caller.execution_options(**{BINDS_ITSELF: True})

    def bound(name):
        return Bound("none", "test.caller", name, "test.kept", "SELECT NULL")

    async with open_with(pool_size=1) as one:
        for taken, expected in (
            (AS_IT_IS, ""),
            (bound("Ada"), "Ada"),
            (AS_IT_IS, "Ada"),
            (bound("Ben"), "Ben"),
            (AS_IT_IS, "Ben"),
            (None, ""),
            (AS_IT_IS, ""),
        ):
            async with reading_directly(one, taken) as reader:
                assert (await reader.execute(caller, {})).mappings().one()["caller"] == expected


async def test_r36_what_does_not_bind_itself_is_not_run_on_a_connection_that_is_taken_as_it_is(database):
    async with reading_directly(database, AS_IT_IS) as reader:
        with pytest.raises(Unbound):
            await reader.execute(PID, {})


async def test_r39_a_statement_that_fails_is_explained_and_its_connection_goes_on(open_with):
    async with open_with(pool_size=1, statement_seconds=0.1) as database:
        before = await first(PID, database, {})
        with pytest.raises(DBAPIError) as slow:
            await first(SLEEP, database, {"seconds": 5.0})
        with pytest.raises(DBAPIError) as wrong:
            await first(select(literal_column("1 / 0")), database, {})
        assert await first(PID, database, {}) == before
    assert [STATUS_OF_KIND[explain(one.value).kind] for one in (slow, wrong)] == [503, 422]


async def test_r37_what_is_refused_between_statements_leaves_the_connection_as_it_is(open_with):
    async with open_with(pool_size=1) as database:
        before = await first(PID, database, {})
        with pytest.raises(InvalidInput):
            async with reading_directly(database, None) as reader:
                await reader.execute(PID, {})
                raise InvalidInput
        assert await first(PID, database, {}) == before


async def test_r37_who_waits_too_long_for_a_connection_is_answered_503(open_with):
    async with open_with(pool_size=1, pool_wait_seconds=0.1) as database, database.reader.connect():
        with pytest.raises(PoolTimeout) as caught:
            await first(PID, database, {})
        assert STATUS_OF_KIND[explain(caught.value).kind] == 503


async def test_r38_what_is_cancelled_gives_its_connection_up(open_with, database, working):
    async with open_with(pool_size=1) as one:
        before = await first(PID, one, {})
        task = asyncio.create_task(first(SLEEP, one, {"seconds": 60.0}))
        await working(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await first(PID, one, {}) != before


async def test_r37_a_server_that_is_silent_gives_its_connection_up(open_with):
    async with open_with(pool_size=1, command_seconds=0.2, statement_seconds=5) as one:
        before = await first(PID, one, {})
        with pytest.raises(TimeoutError) as silent:
            await first(SLEEP, one, {"seconds": 4.0})
        assert await first(PID, one, {}) != before
    assert STATUS_OF_KIND[explain(silent.value).kind] == 503


async def test_r37_a_connection_that_the_server_ends_meanwhile_is_503_and_replaced(open_with, database, working):
    async with open_with(pool_size=1) as one:
        before = await first(PID, one, {})
        task = asyncio.create_task(first(SLEEP, one, {"seconds": 60.0}))
        await working(1)
        async with database.writer.begin() as killer:
            await killer.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), before)
        with pytest.raises(DBAPIError) as lost:
            await task
        assert STATUS_OF_KIND[explain(lost.value).kind] == 503
        assert await first(PID, one, {}) != before


async def test_r37_a_table_that_changes_its_shape_is_read_anew(database):
    read = select(literal_column("*")).select_from(text("thing")).order_by(literal_column("1"))
    before = await first(read, database, {})
    async with database.writer.begin() as connection:
        await connection.execute(text("ALTER TABLE thing ADD COLUMN more integer DEFAULT 7"))
    for _ in range(3):
        assert await first(read, database, {}) == {**before, "more": 7}


async def test_r37_a_server_that_refuses_a_connection_is_told_as_sqlalchemy_tells_it(open_with, database_url):
    async with open_with(url=f"{database_url}_that_is_not_there") as nowhere:
        with pytest.raises(DBAPIError) as by_sqlalchemy:
            await nowhere.reader.connect()
        with pytest.raises(DBAPIError) as direct:
            await first(PID, nowhere, {})
    assert sqlstate(direct.value) == sqlstate(by_sqlalchemy.value) == "3D000"
    assert is_lost(direct.value)


def numbered(number):
    return select(literal_column(str(number), Integer).label("number"))


async def test_r37_statements_are_made_once_for_what_they_are_made_of(database):
    kept, asked = KeptStatements(2), []

    def made_of(reader, number):
        def make():
            asked.append(number)
            return numbered(number)

        return kept.of(reader, ("number", number), make)

    async with reading_directly(database, None) as reader:
        for number in (1, 2, 1, 3, 1, 2):
            (row,) = (await reader.execute(made_of(reader, number), {})).mappings().all()
            assert row["number"] == number
    # The second was unused for longest when there was a third.
    assert asked == [1, 2, 3, 2]


async def test_r37_who_reads_by_sqlalchemy_gets_the_statement_itself(database):
    statement, kept = numbered(1), KeptStatements(2)
    async with database.reader.connect() as connection:
        found = kept.of(connection, 1, lambda: statement)
        assert (found, (await connection.execute(found)).scalar_one()) == (statement, 1)


@pytest.mark.parametrize(
    "statement",
    [
        select(literal_column("1")).where(literal_column("1").in_([1, 2])),
        select(bindparam("given", type_=PickleType)),
        select(bindparam("given", type_=ARRAY(JSONB))),
        insert(Table("thing", MetaData(), Column("id", Integer), Column("name", String, default="none"))).values(
            id=bindparam("new_id")
        ),
    ],
    ids=["in", "pickle", "array of json", "default"],
)
async def test_r37_what_the_driver_alone_would_do_otherwise_is_refused(database, statement):
    async with reading_directly(database, None) as reader:
        with pytest.raises(NeedsSqlalchemy):
            await reader.execute(statement, {})


async def test_r37_a_value_that_is_not_given_is_none_that_is_null(database):
    async with reading_directly(database, None) as reader:
        with pytest.raises(KeyError):
            await reader.execute(select(bindparam("given", type_=Text)), {})

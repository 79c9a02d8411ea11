"""R39: what PostgreSQL really says, and what it becomes. Nothing that it says reaches the caller."""

import asyncio

import asyncpg
import pytest
from chassis.db.failures import explain
from chassis.errors import ErrorKind
from chassis.web.envelope import failure_body
from chassis.web.status import STATUS_OF_KIND
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from testkit.servers import free_port

INSERT = "INSERT INTO thing (id, name, size, parent_id, made_from) VALUES (:id, :name, :size, :parent_id, :made_from)"
ROW = {"id": 2, "name": "second", "size": 1, "parent_id": None, "made_from": None}


async def failure(work):
    """Return the refusal that a failing piece of work becomes."""
    with pytest.raises((SQLAlchemyError, OSError)) as caught:
        await work
    return explain(caught.value)


async def execute(database, statement, **values):
    async with database.writer.begin() as connection:
        await connection.execute(text(statement), values)


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"name": "a\0b"}, 422, "VALIDATION_FAILED"),
        ({"name": "\ud800"}, 422, "VALIDATION_FAILED"),
        ({"name": "longer than ten"}, 422, "VALIDATION_FAILED"),
        ({"name": None}, 422, "VALIDATION_FAILED"),
        ({"size": -1}, 422, "VALIDATION_FAILED"),
        ({"size": 12345678901234567890}, 422, "VALIDATION_FAILED"),
        ({"id": 2**31}, 422, "VALIDATION_FAILED"),
        ({"size": "text"}, 422, "VALIDATION_FAILED"),
        ({"name": "first"}, 409, "ALREADY_EXISTS"),
        ({"id": 1}, 409, "ALREADY_EXISTS"),
        ({"made_from": 99}, 422, "REFERENCE_NOT_FOUND"),
        ({"parent_id": 99}, 422, "REFERENCE_NOT_FOUND"),
    ],
    ids=repr,
)
async def test_r39_values_that_the_database_refuses(database, count, changed, status, code):
    refusal = await failure(execute(database, INSERT, **(ROW | changed)))
    assert (STATUS_OF_KIND[refusal.kind], refusal.code) == (status, code)
    assert await count() == 1


@pytest.mark.parametrize(
    ("state", "status", "code"),
    [
        ("22P05", 422, "VALIDATION_FAILED"),
        ("22021", 422, "VALIDATION_FAILED"),
        ("22P02", 422, "VALIDATION_FAILED"),
        ("22008", 422, "VALIDATION_FAILED"),
        ("2201B", 422, "VALIDATION_FAILED"),
        ("40001", 503, "SERVICE_UNAVAILABLE"),
        ("40P01", 503, "SERVICE_UNAVAILABLE"),
        ("53100", 503, "SERVICE_UNAVAILABLE"),
        ("53200", 503, "SERVICE_UNAVAILABLE"),
        ("25006", 503, "SERVICE_UNAVAILABLE"),
        ("57P03", 503, "SERVICE_UNAVAILABLE"),
        ("08006", 503, "SERVICE_UNAVAILABLE"),
        ("42P01", 500, "INTERNAL_ERROR"),
        ("P0001", 500, "INTERNAL_ERROR"),
    ],
)
async def test_r39_states(database, state, status, code):
    refusal = await failure(execute(database, f"DO $$ BEGIN RAISE 'told' USING ERRCODE = '{state}'; END $$"))
    assert (STATUS_OF_KIND[refusal.kind], refusal.code, refusal.log_detail) == (status, code, state)
    assert refusal.retry_after == (1 if status == 503 else None)
    assert b"told" not in failure_body(refusal)
    assert state.encode() not in failure_body(refusal)


async def test_r39_a_statement_that_takes_too_long_or_is_cancelled_is_503(database):
    async with database.writer.connect() as connection:
        await connection.execute(text("SET LOCAL statement_timeout = '50ms'"))
        refusal = await failure(connection.execute(text("SELECT pg_sleep(5)")))
    assert (refusal.code, refusal.log_detail) == ("SERVICE_UNAVAILABLE", "57014")


async def test_r39_a_lock_that_is_not_had_in_time_is_503(database):
    async with database.writer.connect() as holder, database.writer.connect() as waiter:
        await holder.execute(text("LOCK TABLE thing"))
        await waiter.execute(text("SET LOCAL lock_timeout = '50ms'"))
        refusal = await failure(waiter.execute(text("SELECT * FROM thing")))
    assert (refusal.code, refusal.log_detail) == ("RESOURCE_BUSY", "55P03")
    assert (refusal.kind, refusal.retry_after) == (ErrorKind.UNAVAILABLE, 1)


async def test_r39_a_backend_that_is_killed_in_the_middle_of_a_statement_is_503(database, database_url):
    async with database.writer.connect() as connection:
        pid = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        running = asyncio.ensure_future(connection.execute(text("SELECT pg_sleep(5)")))
        await kill(database_url, pid)
        refusal = await failure(running)
    assert refusal.code == "SERVICE_UNAVAILABLE"
    async with database.writer.connect() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1


async def kill(url, pid):
    other = await asyncpg.connect(url)
    assert await other.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)
    await other.close()


async def test_r39_a_server_with_too_many_connections_is_503(database, database_url, open_with):
    await execute(database, "DROP ROLE IF EXISTS crowded")
    await execute(database, "CREATE ROLE crowded LOGIN PASSWORD 'crowded' CONNECTION LIMIT 1")
    async with open_with(database_url.replace("//postgres@", "//crowded:crowded@")) as crowded:
        async with crowded.writer.connect():
            refusal = await failure(crowded.writer.connect().start())
        assert (refusal.code, refusal.log_detail) == ("SERVICE_UNAVAILABLE", "53300")
    await execute(database, "DROP ROLE crowded")


async def test_r39_a_server_that_is_not_there_is_503(open_with):
    async with open_with(f"postgresql://nobody@127.0.0.1:{free_port()}/nothing") as nowhere:
        refusal = await failure(nowhere.writer.connect().start())
    assert (refusal.code, refusal.retry_after) == ("SERVICE_UNAVAILABLE", 1)


async def test_r65_the_values_of_a_statement_are_not_in_its_error(database):
    with pytest.raises(SQLAlchemyError) as caught:
        await execute(database, INSERT, **(ROW | {"name": "first", "size": 424242}))
    assert "424242" not in str(caught.value)

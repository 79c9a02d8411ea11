"""R37: limits of every connection, a pool that does not make callers wait for long, and connections that went away."""

import asyncio

import pytest
from chassis.db.failures import explain
from chassis.web.status import STATUS_OF_KIND
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeout
from testkit.waiting import eventually

LIMITS = {
    "statement_timeout": "5s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "10s",
    "tcp_user_timeout": "10000",
    "application_name": "chassis-tests",
}


@pytest.mark.parametrize("engine", ["writer", "reader"])
async def test_r37_every_connection_has_its_limits(database, engine):
    async with getattr(database, engine).connect() as connection:
        for name, value in LIMITS.items():
            assert (await connection.execute(text(f"SHOW {name}"))).scalar_one() == value


@pytest.mark.parametrize("engine", ["writer", "reader"])
async def test_r37_a_statement_ends_where_the_settings_say(open_with, engine):
    limits = {"statement_seconds": 2.5, "lock_seconds": 1.5, "idle_seconds": 3.5}
    async with open_with(**limits) as database, getattr(database, engine).connect() as connection:
        assert (await connection.execute(text("SHOW statement_timeout"))).scalar_one() == "2500ms"
        assert (await connection.execute(text("SHOW lock_timeout"))).scalar_one() == "1500ms"
        idle = text("SHOW idle_in_transaction_session_timeout")
        assert (await connection.execute(idle)).scalar_one() == "3500ms"


@pytest.mark.parametrize("engine", ["writer", "reader"])
async def test_r37_who_waits_too_long_for_a_connection_is_answered_503(open_with, engine):
    async with open_with(pool_size=1, pool_wait_seconds=0.1, write_wait_seconds=0.1) as database:
        pool = getattr(database, engine)
        began = asyncio.get_running_loop().time()
        async with pool.connect():
            with pytest.raises(PoolTimeout) as caught:
                await pool.connect()
        assert 0.1 <= asyncio.get_running_loop().time() - began < 1
        refusal = explain(caught.value)
        assert (STATUS_OF_KIND[refusal.kind], refusal.code, refusal.retry_after) == (503, "SERVICE_UNAVAILABLE", 1)


@pytest.mark.parametrize("engine", ["writer", "reader"])
async def test_r37_connections_that_the_server_closed_are_replaced_and_nobody_notices(open_with, database, engine):
    async with open_with(pool_size=2) as found:
        pool = getattr(found, engine)
        async with pool.connect() as one, pool.connect() as two:
            drivers = [(await c.get_raw_connection()).driver_connection for c in (one, two)]
            pids = {driver.get_server_pid() for driver in drivers}
        async with database.writer.begin() as killer:
            for pid in pids:
                await killer.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})

        async def noticed():
            return all(driver.is_closed() for driver in drivers)

        await eventually(noticed)
        async with pool.connect() as one, pool.connect() as two:
            now = {(await c.execute(text("SELECT pg_backend_pid()"))).scalar_one() for c in (one, two)}
        assert len(now) == 2
        assert not now & pids


async def test_reads_are_single_statements_without_a_transaction(database):
    async with database.reader.connect() as connection:
        await connection.execute(text("SELECT 1"))
        query = text("SELECT state FROM pg_stat_activity WHERE pid = :pid")
        pid = (await connection.get_raw_connection()).driver_connection.get_server_pid()
        async with database.writer.connect() as other:
            assert (await other.execute(query, {"pid": pid})).scalar_one() == "idle"

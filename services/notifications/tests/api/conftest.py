"""What tests of the API share: the API as a process of its own."""

import asyncio
import os
import sys
from contextlib import asynccontextmanager

import httpx2
import pytest
from sqlalchemy import event as events
from testkit.servers import free_port
from testkit.waiting import eventually


@pytest.fixture
def process(database_settings, valkey_url, test_gateway, tasks_server, serving_at, secret):
    """Runs the API as a process of its own, with settings from the environment."""

    @asynccontextmanager
    async def process(**own):
        port, admin_port = free_port(), free_port()
        settings = {
            "PORT": str(port),
            "ADMIN_PORT": str(admin_port),
            "ENVIRONMENT": "test",
            "DATABASE_URL": database_settings.url.get_secret_value(),
            "REDIS_URL": valkey_url,
            "IDENTITY_VERIFY_KEY": test_gateway.verify_key,
            "CURSOR_SECRET": secret,
            "NOTIFICATIONS_SEALING_KEYS": "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
            "NOTIFICATIONS_TASKS_URL": tasks_server[1],
            **own,
        }
        running = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "notifications_service", "api", env={**os.environ, **settings}
        )
        try:
            await eventually(lambda: is_ready(admin_port))
            yield running, serving_at(port)
        finally:
            if running.returncode is None:
                running.kill()
            await running.wait()

    return process


async def is_ready(admin_port):
    async with httpx2.AsyncClient(timeout=60, trust_env=False) as client:
        try:
            return (await client.get(f"http://127.0.0.1:{admin_port}/readyz")).status_code == 200
        except httpx2.TransportError:
            return False


@pytest.fixture
def planned(database):
    """Returns what a question answers, and how Postgres would find that whatever is asked for."""

    async def planned(ask):
        asked = []
        async with database.writer.connect() as connection:
            events.listen(connection.sync_connection, "before_cursor_execute", lambda *told: asked.append(told[2:4]))
            answer = await ask(connection)
            ((statement, parameters),) = asked
            await connection.exec_driver_sql("SET LOCAL plan_cache_mode = force_generic_plan")
            # The plan of a statement with parameters of its own would be for these.
            await connection.exec_driver_sql(f"PREPARE asked AS {statement}")
            any_of_them = ", ".join("NULL" for _ in parameters)
            plan = await connection.exec_driver_sql(f"EXPLAIN EXECUTE asked({any_of_them})")
            lines = plan.scalars().all()
            await connection.exec_driver_sql("DEALLOCATE asked")
            await connection.rollback()
        return answer, "\n".join(lines)

    return planned

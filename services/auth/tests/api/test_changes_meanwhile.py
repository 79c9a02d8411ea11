"""What changes between looking at a password and opening a session counts."""

import asyncio

import pytest
from sqlalchemy import text
from testkit.waiting import eventually

WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%auth.account%'
"""


def codes(answer):
    return answer.status_code, [error["code"] for error in answer.json()["errors"]]


@pytest.fixture
def while_locked(database, rows):
    """Holds the account, starts a request, changes the account once the request waits for it, and lets go."""

    async def while_locked(account_id, request, change):
        async with database.writer.begin() as connection:
            await connection.execute(text("SELECT 1 FROM auth.account WHERE id = :id FOR UPDATE"), {"id": account_id})
            task = asyncio.create_task(request)

            async def waits():
                return (await rows(WAITING))[0][0] > 0

            await eventually(waits, seconds=10)
            await connection.execute(text(change), {"id": account_id})
        return await task

    return while_locked


NEW_PASSWORD = "UPDATE auth.account SET password_hash = 'another' WHERE id = :id"


async def test_login_401_when_the_password_was_changed_while_it_was_looked_at(api, account, rows, while_locked):
    login = api.post("/api/v1/auth/login", json=account.credentials)
    assert codes(await while_locked(account.id, login, NEW_PASSWORD)) == (401, ["INVALID_CREDENTIALS"])
    assert await rows("SELECT count(*) FROM auth.session WHERE user_id = :id", id=account.id) == [(0,)]


async def test_step_up_401_when_the_password_was_changed_while_it_was_looked_at(api, login, while_locked):
    body = {"password": login.account.password}
    step_up = api.post("/api/v1/auth/step-up", json=body, headers=login.headers)
    assert codes(await while_locked(login.account.id, step_up, NEW_PASSWORD)) == (401, ["INVALID_CREDENTIALS"])


async def test_reactivation_401_when_the_password_was_changed_while_it_was_looked_at(api, account, rows, while_locked):
    await rows("UPDATE auth.account SET status = 'deactivated' WHERE id = :id", id=account.id)
    back = api.post("/api/v1/auth/reactivate", json=account.credentials)
    assert codes(await while_locked(account.id, back, NEW_PASSWORD)) == (401, ["INVALID_CREDENTIALS"])
    assert await rows("SELECT status FROM auth.account WHERE id = :id", id=account.id) == [("deactivated",)]


async def test_login_403_when_the_account_was_disabled_while_its_password_was_looked_at(api, account, while_locked):
    login = api.post("/api/v1/auth/login", json=account.credentials)
    disabled = "UPDATE auth.account SET status = 'disabled' WHERE id = :id"
    assert codes(await while_locked(account.id, login, disabled)) == (403, ["ACCOUNT_DISABLED"])

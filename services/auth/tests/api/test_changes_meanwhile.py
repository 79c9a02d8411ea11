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


EMAIL = "/api/v1/auth/email/change"
CHANGES = {
    EMAIL: lambda account: {"email": f"new.{account.email}", "password": account.password},
    "/api/v1/auth/password/change": lambda account: {
        "current_password": account.password,
        "new_password": "green-lantern-orbit-9",
    },
}
MEANWHILE = {
    "the password": (NEW_PASSWORD, (403, ["WRONG_PASSWORD"])),
    "the session": ("DELETE FROM auth.session WHERE user_id = :id", (401, ["UNAUTHENTICATED"])),
}
LEFT = """
    SELECT (SELECT count(*) FROM auth.link_token WHERE account_id = :id AND kind = 'change_email'),
           (SELECT version FROM auth.account WHERE id = :id)
"""


@pytest.mark.parametrize("name", MEANWHILE)
@pytest.mark.parametrize("path", CHANGES)
async def test_a_change_is_refused_when_what_it_was_proved_by_went_meanwhile(
    api, login, rows, while_locked, path, name
):
    change, expected = MEANWHILE[name]
    request = api.post(path, json=CHANGES[path](login.account), headers=login.headers)
    assert codes(await while_locked(login.account.id, request, change)) == expected
    assert await rows(LEFT, id=login.account.id) == [(0, 1)]


async def test_another_address_of_somebody_without_password_401_when_the_session_was_ended_meanwhile(
    api, login, rows, while_locked
):
    await rows("UPDATE auth.account SET password_hash = NULL WHERE id = :id", id=login.account.id)
    change, expected = MEANWHILE["the session"]
    body = {"email": f"new.{login.account.email}"}
    request = api.post(EMAIL, json=body, headers=login.headers)
    assert codes(await while_locked(login.account.id, request, change)) == expected
    assert await rows(LEFT, id=login.account.id) == [(0, 1)]

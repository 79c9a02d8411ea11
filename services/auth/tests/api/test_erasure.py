"""After the grace nothing personal is left of an account, in whatever table."""

# ruff: noqa: S608 - names of tables come from the database itself

import asyncio
import json
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from auth_service.leaving.repository import owned_rows
from auth_service.leaving.rules import SPARED, TOMBSTONE
from auth_service.models import METADATA
from auth_service.scheduler import jobs
from auth_service.users.models import Account
from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from sqlalchemy import Boolean, Integer, LargeBinary, String, Table, insert, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from testkit.waiting import eventually

ME = "/api/v1/users/me"
CANARY = "kanarienvogel"
DUE = "UPDATE auth.account SET deletes_at = now() WHERE id = :id"
COLUMNS = """
    SELECT table_name, column_name, data_type FROM information_schema.columns
    WHERE table_schema = 'auth' AND table_name <> 'schema_version' ORDER BY 1, 2
"""
REFERENCES = """
    SELECT DISTINCT child.relname FROM pg_constraint JOIN pg_class child ON child.oid = conrelid
    WHERE contype = 'f' AND confrelid = 'auth.account'::regclass
"""
# Columns that look as if they knew somebody, and do not have to be followed: they hold an id and no more.
IDS_ALONE = {
    ("api_token", "created_by"),
    ("service_account", "created_by"),
    ("revocation", "subject"),
    ("outbox", "subject"),
    ("session", "address"),
    ("address_failures", "address"),
}
SUSPICIOUS = ("account", "address", "canonical", "caller", "created_by", "email", "mail", "owner", "subject", "user")
CHECKED = {
    "purpose": "register",
    "outcome": "success",
    "kind": "user",
    "role": "member",
    "link_token.kind": "verify_email",
}
KEPT_OF_ACCOUNT = frozenset({"id", "kind", "version", "created_at", "updated_at"})
OF_NOBODY = {"address_failures"}
"""Where logins failed from, whatever the account, for a day."""
OWN_OF_ANOTHER = {"refresh_token"}
"""Has no column of the account's; goes with its session."""


@pytest.fixture(autouse=True)
async def none_is_due(run_job):
    """Other tests may have left somebody whose time has come."""
    await run_job("finish-deletions")


def known_tables():
    row = dict.fromkeys(table_of(Account).c.keys())
    row |= {"id": uuid7(), "email": "a@example.com", "email_canonical": "a@example.com"}
    return {table.name for table, _ in owned_rows(row)}


async def test_every_table_that_refers_to_accounts_is_dealt_with(rows):
    referring = {name for (name,) in await rows(REFERENCES)}
    assert referring
    assert referring - known_tables() - set(SPARED) == set()


async def test_every_column_that_looks_as_if_it_knew_somebody_is_in_a_table_that_is_dealt_with(rows):
    known = known_tables() | set(SPARED) | OWN_OF_ANOTHER
    found = {(table, column) for table, column, _ in await rows(COLUMNS) if any(word in column for word in SUSPICIOUS)}
    assert ("session", "user_id") in found
    assert {(table, column) for table, column in found - IDS_ALONE if table not in known} == set()


def test_every_column_of_an_account_is_blanked_or_kept_on_purpose():
    assert set(TOMBSTONE) | KEPT_OF_ACCOUNT == set(table_of(Account).c.keys())
    assert set(TOMBSTONE) & KEPT_OF_ACCOUNT == set()


def made_up(column, user_id: UUID):
    """A value for a column, with the canary wherever there is room for it."""
    if column.name in {"account_id", "user_id", "caller_id"}:
        return user_id
    for name in (f"{column.table.name}.{column.name}", column.name):
        if name in CHECKED:
            return CHECKED[name]
    kinds = (
        (ARRAY, list),
        (JSONB, lambda: {"note": CANARY}),
        (LargeBinary, lambda: CANARY.encode() + uuid7().bytes),
        (Boolean, lambda: False),
        (Integer, lambda: 1),
        (String, lambda: CANARY[: column.type.length]),
    )
    for kind, make in kinds:
        if isinstance(column.type, kind):
            return make()
    return uuid7() if column.type.python_type is UUID else utcnow() + timedelta(days=1)


async def fill(database, table: Table, user_id: UUID):
    values = {column.name: made_up(column, user_id) for column in table.c if column.identity is None}
    async with database.writer.begin() as connection:
        await connection.execute(insert(table).values(**values))


@pytest.fixture
def search(rows):
    """Finds what is left of a text in any column of any table."""

    async def search(*needles):
        found = set()
        for table, column, kind in await rows(COLUMNS):
            if table in OF_NOBODY:
                continue
            text = f"encode({column}, 'escape')" if kind == "bytea" else f"{column}::text"
            for needle in needles:
                query = f"SELECT count(*) FROM auth.{table} WHERE position(:needle IN {text}) > 0"
                if (await rows(query, needle=needle))[0][0]:
                    found.add((table, column))
        return found

    return search


@pytest.fixture
async def gone(api, sign_up, log_in, rows, database):
    """Somebody who has left a trace in every table, and whose time has come."""
    account = await sign_up(f"{CANARY}-{uuid7().hex}@example.com")
    here = {"x-client-address": "203.0.113.77", "user-agent": f"{CANARY}-phone"}
    wrong = {**account.credentials, "password": "not-this-one-77"}
    assert (await api.post("/api/v1/auth/login", json=wrong, headers=here)).status_code == 401
    login = await log_in(account, **here)
    assert (await api.post("/api/v1/auth/login", json=wrong, headers=here)).status_code == 401
    profile = {"display_name": CANARY, "avatar_url": f"https://{CANARY}.example/a.png", "locale": "de-x-kanarien"}
    keyed = {**login.headers, **here, "idempotency-key": CANARY}
    assert (await api.patch(ME, json=profile, headers=keyed)).status_code == 200
    known = known_tables()
    for table in METADATA.sorted_tables:
        owned = next((c.name for c in table.c if c.name in {"account_id", "user_id", "caller_id"}), None)
        if table.name not in known or owned is None:
            continue
        if await rows(f"SELECT count(*) FROM auth.{table.name} WHERE {owned} = :id", id=account.id) == [(0,)]:
            await fill(database, table, account.id)
    await rows(
        "INSERT INTO auth.idempotency_key VALUES (:other, 'of-an-admin', '', 200, '{}', :body, now())",
        other=uuid7(),
        body=json.dumps({"id": str(account.id), "email": account.email}).encode(),
    )
    return account, login


async def test_nothing_personal_is_left_of_a_deleted_account(api, gone, rows, search, events, run_job):
    account, login = gone
    needles = (CANARY, "kanarien", account.email, "203.0.113.77")
    found = await search(*needles)
    assert {("account", "email"), ("audit_event", "device"), ("outbox", "data"), ("idempotency_key", "body")} <= found
    assert ("session", "device") in found
    assert (await api.request("DELETE", ME, headers=login.headers)).status_code == 200
    await run_job("finish-deletions")
    assert (await rows("SELECT status FROM auth.account WHERE id = :id", id=account.id)) == [("deleting",)]
    await rows(DUE, id=account.id)
    assert await run_job("finish-deletions") == 2
    assert {table for table, _ in await search(*needles)} <= {"outbox"}
    last = (await events(account.id))[-2:]
    assert last == ["account_mail.requested.v1", "user.deleted.v1"]
    await rows(
        "UPDATE auth.outbox SET state = 'sent', sent_at = now() WHERE data->'audience'->>0 = :id", id=str(account.id)
    )
    await run_job("forget-events")
    assert await search(*needles) == set()
    assert await rows(
        "SELECT count(*) FROM auth.login_failure WHERE account_digest = sha256(:e)", e=account.email.encode()
    ) == [(0,)]


async def test_what_is_left_is_a_tombstone_and_what_happened(api, gone, rows, run_job, confirm):
    account, login = gone
    await confirm(account)
    await api.request("DELETE", ME, headers=login.headers)
    await rows(DUE, id=account.id)
    await run_job("finish-deletions")
    [row] = await rows("SELECT to_jsonb(a) FROM auth.account a WHERE id = :id", id=account.id)
    left = {name: value for name, value in row[0].items() if name not in KEPT_OF_ACCOUNT}
    assert left == TOMBSTONE
    noted = await rows(
        "SELECT action, address, device, details FROM auth.audit_event WHERE subject_id = :id ORDER BY id",
        id=account.id,
    )
    assert {(address, device, str(details)) for _, address, device, details in noted[:-1]} == {(None, None, "{}")}
    actions = [action for action, *_ in noted]
    assert (actions[0], actions[-2:]) == ("account.registered", ["account.deletion_requested", "account.deleted"])
    [(data,)] = await rows(
        "SELECT data FROM auth.outbox WHERE type = 'user.deleted.v1' AND subject = :id", id=account.id
    )
    resource = data["resource"]
    assert (resource["email"], resource["display_name"], resource["status"]) == (None, "Deleted user", "deleted")
    assert data["actor"] is None
    about = "type LIKE 'account_mail%' AND data->'audience'->>0 = :id"
    query = f"SELECT data->'resource' FROM auth.outbox WHERE {about} ORDER BY event_id"
    mails = [mail for (mail,) in await rows(query, id=str(account.id))]
    assert [(mail["kind"], mail["to"]) for mail in mails] == [
        ("deletion_scheduled", account.email),
        ("account_deleted", account.email),
    ]


async def test_a_deleted_account_has_no_way_back_and_its_address_is_free(api, gone, rows, run_job, sign_up):
    account, login = gone
    await api.request("DELETE", ME, headers=login.headers)
    await rows(DUE, id=account.id)
    await run_job("finish-deletions")
    for path in ("login", "reactivate"):
        answer = await api.post(f"/api/v1/auth/{path}", json=account.credentials)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, "INVALID_CREDENTIALS")
    refresh = await api.post("/api/v1/auth/refresh", json={"refresh_token": login.tokens["refresh_token"]})
    assert refresh.status_code == 401
    assert (await sign_up(account.email)).id != account.id


async def test_only_what_was_sent_or_given_up_about_the_deleted_is_forgotten(login, rows, run_job, api, sign_up):
    other = await sign_up()
    await api.request("DELETE", ME, headers=login.headers)
    await rows(DUE, id=login.account.id)
    await run_job("finish-deletions")
    of_user = "data->'audience'->>0 = :id"
    count = f"SELECT count(*) FROM auth.outbox WHERE {of_user}"
    [(before,)] = await rows(count, id=str(login.account.id))
    await run_job("forget-events")
    assert await rows(count, id=str(login.account.id)) == [(before,)]
    for state, type_ in (("sent", "user.registered.v1"), ("parked", "session.started.v1")):
        await rows(
            f"UPDATE auth.outbox SET state = '{state}' WHERE {of_user} AND type = '{type_}'", id=str(login.account.id)
        )
    await rows(f"UPDATE auth.outbox SET state = 'sent' WHERE {of_user}", id=str(other.id))
    await run_job("forget-events")
    assert await rows(count, id=str(login.account.id)) == [(before - 2,)]
    assert await rows(count, id=str(other.id)) == [(1,)]


async def leave_and_be_due(api, log_in, rows, account, ago):
    login = await log_in(account)
    assert (await api.request("DELETE", ME, headers=login.headers)).status_code == 200
    due = f"UPDATE auth.account SET deletes_at = now() - interval '{ago}' WHERE id = :id"
    await rows(due, id=account.id)


STATE = "SELECT status, deletion_not_before > now() FROM auth.account WHERE id = :id"


async def test_an_account_that_can_not_be_deleted_is_put_off_and_keeps_no_other(
    api, account, sign_up, log_in, rows, run_job, database
):
    other = await sign_up()
    await leave_and_be_due(api, log_in, rows, account, "2 days")
    await leave_and_be_due(api, log_in, rows, other, "1 day")
    async with database.writer.begin() as connection:
        held = text("SELECT 1 FROM auth.known_network WHERE account_id = :id FOR UPDATE").bindparams(id=account.id)
        # However long the job takes on a busy machine.
        await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        assert (await connection.execute(held)).all()
        assert await run_job("finish-deletions") == 3
    assert await rows(STATE, id=account.id) == [("deleting", True)]
    assert await rows(STATE, id=other.id) == [("deleted", None)]
    assert await rows("SELECT count(*) FROM auth.known_network WHERE account_id = :id", id=account.id) == [(1,)]
    assert await run_job("finish-deletions") == 1
    await rows("UPDATE auth.account SET deletion_not_before = now() WHERE id = :id", id=account.id)
    assert await run_job("finish-deletions") == 2
    assert await rows(STATE, id=account.id) == [("deleted", None)]


async def test_of_several_that_are_due_the_first_goes_first(
    api, account, sign_up, log_in, rows, run_job, all_jobs, database
):
    first = await sign_up()
    await leave_and_be_due(api, log_in, rows, account, "1 day")
    await leave_and_be_due(api, log_in, rows, first, "2 days")
    (job,) = (job for job in all_jobs if job.name == "finish-deletions")
    async with transaction(database) as session:
        assert await job.run(session)
    assert [(await rows(STATE, id=one.id))[0][0] for one in (first, account)] == ["deleted", "deleting"]
    await run_job("finish-deletions")


async def test_a_long_audit_is_blanked_in_parts(api, account, sign_up, log_in, rows, run_job):
    other = await sign_up()
    many = """
        INSERT INTO auth.audit_event
            (id, occurred_at, action, outcome, actor_id, subject_id, address, request_id, details)
        SELECT gen_random_uuid(), now(), 'login', 'success', :actor, :subject, '203.0.113.7', 'r', '{"a": 1}'
        FROM generate_series(1, 1500)
    """
    await rows(many, actor=account.id, subject=account.id)
    await rows(many, actor=account.id, subject=other.id)
    await leave_and_be_due(api, log_in, rows, account, "1 day")
    assert await run_job("finish-deletions") == 3
    assert await rows(STATE, id=account.id) == [("deleted", None)]
    about = "SELECT count(*), count(address), count(nullif(details, '{}')) FROM auth.audit_event"
    [(count, addresses, details)] = await rows(f"{about} WHERE subject_id = :id", id=account.id)
    assert (count > 1500, addresses, details) == (True, 0, 0)
    [(count, addresses, details)] = await rows(
        f"{about} WHERE subject_id = :id AND actor_id = :by", id=other.id, by=account.id
    )
    assert (count, addresses, details) == (1500, 0, 1500)


async def test_answers_about_the_deleted_are_found_among_many(api, account, log_in, rows, run_job):
    many = """
        INSERT INTO auth.idempotency_key
        SELECT gen_random_uuid(), 'k', '', 200, '{}',
            convert_to(CASE WHEN n % 400 = 0 THEN :told ELSE 'x' END, 'UTF8'), now()
        FROM generate_series(1, 1200) n
    """
    await rows("DELETE FROM auth.idempotency_key")
    await rows(many, told=f'{{"id":"{account.id}"}}')
    await leave_and_be_due(api, log_in, rows, account, "1 day")
    assert await run_job("finish-deletions") == 2
    assert await rows("SELECT count(*) FROM auth.idempotency_key") == [(1197,)]
    await rows("DELETE FROM auth.idempotency_key")


async def test_a_login_and_a_deletion_at_once_wait_for_each_other_in_one_order(
    api, account, log_in, rows, run_job, database
):
    """A login holds what is noted of failures, and then the account."""
    wrong = {**account.credentials, "password": "not-this-one-77"}
    await leave_and_be_due(api, log_in, rows, account, "1 day")
    assert (await api.post("/api/v1/auth/login", json=wrong)).status_code == 401
    digest = {"email": account.email.encode(), "id": account.id}
    async with database.writer.begin() as connection:
        failures = "SELECT 1 FROM auth.login_failure WHERE account_digest = sha256(:email) FOR UPDATE"
        assert (await connection.execute(text(failures), {"email": digest["email"]})).all()
        deletion = asyncio.create_task(run_job("finish-deletions"))

        async def waits():
            query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%failure%'"
            return (await rows(query))[0][0] > 0

        await eventually(waits)
        free = "SELECT 1 FROM auth.account WHERE id = :id FOR UPDATE NOWAIT"
        assert (await connection.execute(text(free), {"id": digest["id"]})).all()
    assert await deletion == 2
    assert await rows(STATE, id=account.id) == [("deleted", None)]


def test_a_made_up_time_is_one():
    assert isinstance(made_up(table_of(Account).c.created_at, uuid7()), datetime)


@pytest.fixture
def purge_unproved(database, make_settings):
    """Runs the job that there is where addresses have to be proved."""

    async def purge_unproved():
        (job,) = (
            job for job in jobs(make_settings(email_verification="required")) if job.name == "purge-unproved-accounts"
        )
        more = True
        while more:
            async with transaction(database) as session:
                more = await job.run(session)

    return purge_unproved


AGE = "UPDATE auth.account SET created_at = now() - make_interval(days => :age) WHERE id = :id"
STATUS = "SELECT status, email FROM auth.account WHERE id = :id"
KEPT = {
    "waits for the proof": (6, "SELECT 1"),
    "is older than what is noted of logins": (91, "SELECT 1"),
    "is proved": (8, "UPDATE auth.account SET email_verified_at = now() WHERE id = :id"),
    "was used": (8, "INSERT INTO auth.known_network VALUES (:id, '192.0.2.0/24', now())"),
    "has a link": (
        8,
        "UPDATE auth.link_token SET used_at = NULL, expires_at = now() + interval '1 h' WHERE account_id = :id",
    ),
    "was left": (8, "UPDATE auth.account SET status = 'deactivated' WHERE id = :id"),
}


async def test_an_address_that_nobody_proves_is_free_again_after_a_week(
    api, sign_up, mails, mails_about, rows, events, purge_unproved
):
    account = await sign_up()
    await mails(account.email)
    await rows("UPDATE auth.link_token SET expires_at = now() WHERE account_id = :id", id=account.id)
    await rows(AGE, id=account.id, age=8)
    await purge_unproved()
    assert await rows(STATUS, id=account.id) == [("deleted", None)]
    assert (await events(account.id))[-1] == "user.deleted.v1"
    assert [mail["kind"] for mail in await mails_about(account.id)] == ["verify_email"]
    assert (await sign_up(account.email)).id != account.id


@pytest.mark.parametrize("name", KEPT)
async def test_no_other_account_goes_with_those_that_nobody_proves(sign_up, mails, rows, purge_unproved, name):
    account, (age, change) = await sign_up(), KEPT[name]
    await mails(account.email)
    await rows("UPDATE auth.link_token SET expires_at = now() WHERE account_id = :id", id=account.id)
    await rows(AGE, id=account.id, age=age)
    await rows(change, **({"id": account.id} if ":id" in change else {}))
    await purge_unproved()
    assert (await rows(STATUS, id=account.id))[0][1] == account.email

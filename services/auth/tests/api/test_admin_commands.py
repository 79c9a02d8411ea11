"""Making administrators from a shell on the server."""

import pytest
from chassis.ids import uuid7

ACCOUNT = "SELECT roles FROM auth.account WHERE id = :id"
NOTED = "SELECT action, actor_id, address, details FROM auth.audit_event WHERE subject_id = :id ORDER BY id"


async def test_an_administrator_is_made_and_unmade_by_address(command, login, rows, events):
    account = login.account
    said = f"The roles of {account.email.upper()} are now: user, admin.\n"
    for _ in range(2):
        assert await command("grant-admin", account.email.upper()) == (0, said, "")
    assert await rows(ACCOUNT, id=account.id) == [(["user", "admin"],)]
    other = await rows("SELECT count(*) FROM auth.account WHERE 'admin' = ANY (roles) AND status = 'active'")
    helper = uuid7()
    await rows(
        "INSERT INTO auth.account (id, display_name, timezone, roles, version, created_at, updated_at) "
        "VALUES (:id, 'Another', 'UTC', '{user,admin}', 1, now(), now())",
        id=helper,
    )
    said = f"The roles of {account.email} are now: user.\n"
    assert await command("revoke-admin", account.email) == (0, said, "")
    await rows("UPDATE auth.account SET roles = '{user}' WHERE id = :id", id=helper)
    assert other[0][0] >= 1
    assert (await events(account.id)).count("user.roles_changed.v1") == 2
    noted = [row for row in await rows(NOTED, id=account.id) if row[0].startswith("admin.")]
    assert noted == [
        ("admin.roles_changed", None, None, {"old": ["user"], "new": ["user", "admin"]}),
        ("admin.roles_changed", None, None, {"old": ["user", "admin"], "new": ["user"]}),
    ]
    marks = "SELECT count(*) FROM auth.revocation WHERE subject = :id AND kind = 'user'"
    assert await rows(marks, id=account.id) == [(2,)]
    assert await rows("SELECT count(*) FROM auth.session WHERE user_id = :id", id=account.id) == [(1,)]


async def test_the_last_administrator_stays_one(command, only_admin, rows):
    sentence = "This is the last active administrator of the instance: make somebody else one first.\n"
    assert await command("revoke-admin", only_admin.email) == (1, "", sentence)
    assert await rows(ACCOUNT, id=only_admin.id) == [(["user", "admin"],)]


@pytest.mark.parametrize("email", ["nobody-at-all@example.com", "no address"])
async def test_an_address_that_nobody_has_is_said_so(command, email):
    assert await command("grant-admin", email) == (1, "", f"There is no account with the address {email}.\n")


async def test_an_address_is_confirmed_once_without_a_mail_and_its_owner_did_not_do_it(command, login, rows, events):
    account = login.account
    upper, unknown = account.email.upper(), "nobody-at-all@example.com"
    verified = "SELECT email_verified_at IS NOT NULL, version FROM auth.account WHERE id = :id"
    ((is_verified, version),) = await rows(verified, id=account.id)
    assert not is_verified
    for _ in range(2):
        said = f"The address {upper} is confirmed.\n"
        complaint = f"There is no account with the address {unknown}.\n"
        assert await command("confirm-email", upper, unknown) == (1, said, complaint)
    assert await command("confirm-email", account.email) == (0, f"The address {account.email} is confirmed.\n", "")
    assert await rows(verified, id=account.id) == [(True, version + 1)]
    assert (await events(account.id)).count("user.updated.v1") == 1
    noted = [row for row in await rows(NOTED, id=account.id) if row[0] == "email.verified"]
    assert noted == [("email.verified", None, None, {})]


async def test_every_account_is_told_of_again_as_it_is(command, login, rows):
    account = login.account
    machine, gone = uuid7(), uuid7()
    add = (
        "INSERT INTO auth.account (id, kind, status, display_name, timezone, roles, version, created_at, updated_at)"
        " VALUES (:id, :kind, :status, 'x', 'UTC', '{}', 3, now(), now())"
    )
    await rows(add, id=machine, kind="service", status="active")
    await rows(add, id=gone, kind="human", status="deleted")
    await rows(
        "INSERT INTO auth.service_account (account_id, workspace_id, name, role, created_by, version, created_at,"
        " updated_at) VALUES (:id, :workspace, 'Importer', 'member', :by, 2, now(), now())",
        id=machine,
        workspace=uuid7(),
        by=account.id,
    )
    ((version,),) = await rows("SELECT version FROM auth.account WHERE id = :id", id=account.id)
    assert await command("tell-accounts") == (0, "", "")
    last = "SELECT type, sequence, data->'actor' FROM auth.outbox WHERE stream_id = :id ORDER BY event_id DESC LIMIT 1"
    assert await rows(last, id=account.id) == [("user.updated.v1", version, None)]
    assert await rows(last, id=gone) == [("user.deleted.v1", 3, None)]
    ((kind, sequence, actor),) = await rows(last, id=machine)
    assert (kind, sequence, actor["id"]) == ("service_account.updated.v1", 2, str(account.id))
    assert await rows("SELECT version FROM auth.account WHERE id = :id", id=account.id) == [(version,)]

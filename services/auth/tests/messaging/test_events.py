"""From a request to the wire: the outbox, its relay, a real transport, and the contract of each event."""

import asyncio
import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from auth_service.account_mail.events import request_mail
from auth_service.account_mail.rules import MailKind, token_place
from auth_service.registry import EVENTS
from auth_service.relay import OUTBOX
from auth_service.users.repository import account as account_table
from chassis.broker.port import Queue
from chassis.broker.relay import OutboxRelay
from chassis.broker.streams import StreamsTransport
from chassis.clock import rfc3339, utcnow
from chassis.context import RequestContext, bind_request
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from chassis.sealing import KeyRing, SealError
from chassis.telemetry.tracing import new_traceparent
from jsonschema import Draft202012Validator
from sqlalchemy import select
from testkit.waiting import eventually

CONTRACTS = Path(__file__).parents[4] / "contracts" / "events" / "auth"


@pytest.fixture
async def wire(database, valkey_url):
    """Everything that the relay sends, as it arrives at a consumer."""
    transport = StreamsTransport(valkey_url, prefix=f"t{uuid7().hex}")
    everything, seen = Queue("all", ("#",)), []
    await transport.declare(everything)

    async def take(message):
        seen.append(json.loads(message.body))

    stop = asyncio.Event()
    tasks = [
        asyncio.create_task(transport.consume(everything, take, prefetch=8)),
        asyncio.create_task(OutboxRelay(database, OUTBOX, transport).run(stop)),
    ]
    yield seen
    stop.set()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await transport.close()


async def of_user(wire, user_id, count):
    """Wait for so many events of somebody."""

    async def arrived():
        found = [event for event in wire if event["data"]["audience"] == [str(user_id)]]
        return found if len(found) >= count else None

    return await eventually(arrived)


@pytest.fixture
def mail_to(database, make_settings):
    """Asks for a mail as the use cases do, in a transaction of its own."""
    ring = make_settings().mail_sealing.ring()

    async def mail_to(account, kind, then=None, **more):
        async with transaction(database) as session:
            query = select(account_table).where(account_table.c.id == account.id)
            row = (await session.execute(query)).mappings().one()
            mail_id = await request_mail(session, ring=ring, kind=kind, account=row, **more)
            if then is not None:
                raise then
        return mail_id

    return mail_to


async def test_a_sign_up_is_one_event_with_the_users_profile(api, wire, rows):
    body = {"email": f"{uuid7().hex}@example.com", "password": "violet-harbor-77", "display_name": "Ada"}
    traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    answer = await api.post("/api/v1/auth/register", json=body, headers={"traceparent": traceparent})
    user = answer.json()["data"]
    (event,) = await of_user(wire, user["id"], 1)
    assert event["type"] == "user.registered.v1"
    assert (event["source"], event["subject"], event["partitionkey"], event["sequence"]) == (
        "/taskloom/auth",
        user["id"],
        user["id"],
        1,
    )
    assert event["traceparent"].startswith(traceparent[:36])
    assert event["data"] == {
        "entity_type": "user",
        "entity_id": user["id"],
        "version": 1,
        "actor": {"type": "user", "id": user["id"], "via": "session"},
        "changes": [],
        "audience": [user["id"]],
        "request_id": answer.headers["x-request-id"],
        "resource": user,
    }

    async def marked():
        query = "SELECT state FROM auth.outbox WHERE stream_id = :id"
        return await rows(query, id=user["id"]) == [("sent",)]

    await eventually(marked)


async def test_every_event_of_the_registry_is_published_as_its_contract_says(
    api, wire, account, log_in, rows, mail_to, tasks_api, run_job, sign_up, make_admin, test_gateway
):
    """A life with everything in it: logins, a token that comes back, credentials of programs, and an end."""
    first, second = await log_in(account), await log_in(account)
    await api.post("/api/v1/auth/logout", headers=first.headers)
    token = {"refresh_token": second.tokens["refresh_token"]}
    await api.post("/api/v1/auth/refresh", json=token)
    back = "UPDATE auth.refresh_token SET replaced_at = replaced_at - interval '11 s' WHERE session_id = :id"
    await rows(back, id=second.session_id)
    assert (await api.post("/api/v1/auth/refresh", json=token)).status_code == 401
    await mail_to(account, MailKind.SESSION_COMPROMISED)
    await make_and_end_credentials_of_programs(api, (await log_in(account)).headers, account, tasks_api)
    await make_admin(admin := await sign_up())
    await be_administered(api, account, test_gateway.headers(admin.id, roles=["user", "admin"]))
    await change_and_end(api, account, log_in)
    await rows("UPDATE auth.account SET deletes_at = now() WHERE id = :id", id=account.id)
    await run_job("finish-deletions")
    expected = {contract.type for contract in EVENTS}

    async def all_seen():
        return {event["type"] for event in await of_user(wire, account.id, 1)} >= expected

    await eventually(all_seen)
    found = await of_user(wire, account.id, 1)
    assert {event["type"] for event in found} == expected
    for event in found:
        schema = json.loads((CONTRACTS / f"{event['type']}.schema.json").read_bytes())
        Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(event)
    for login, ended in ((first, "session.revoked.v1"), (second, "session.compromised.v1")):
        stream = [event for event in found if event["partitionkey"] == str(login.session_id)]
        assert [(event["type"], event["sequence"]) for event in stream] == [("session.started.v1", 1), (ended, 2)]
        resource = {"id": str(login.session_id), "user_id": str(account.id)}
        assert [event["data"]["resource"] for event in stream] == [resource, resource]


async def make_and_end_credentials_of_programs(api, headers, account, tasks_api):
    made = await api.post("/api/v1/auth/tokens", json={"name": "CI", "scopes": ["tasks:read"]}, headers=headers)
    await api.delete(made.headers["location"], headers=headers)
    tasks_api.join(account.id, workspace := uuid7(), "owner")
    body = {"workspace_id": str(workspace), "name": "Bot"}
    made = await api.post("/api/v1/service-accounts", json=body, headers=headers)
    await api.patch(made.headers["location"], json={"name": "Importer"}, headers=headers)
    await api.delete(made.headers["location"], headers=headers)


async def be_administered(api, account, headers):
    path = f"/api/v1/admin/users/{account.id}"
    for action in ("disable", "enable"):
        assert (await api.post(f"{path}/{action}", headers=headers)).status_code == 200
    for roles in (["user", "admin"], ["user"]):
        assert (
            await api.put(f"{path}/roles", json={"roles": roles}, headers={**headers, "if-match": "*"})
        ).status_code == 200


async def change_and_end(api, account, log_in):
    login = await log_in(account)
    await api.patch("/api/v1/users/me", json={"display_name": "Ada L."}, headers=login.headers)
    await api.post("/api/v1/users/me/deactivate", headers=login.headers)
    assert (await api.post("/api/v1/auth/reactivate", json=account.credentials)).status_code == 200
    await api.delete("/api/v1/users/me", headers=(await log_in(account)).headers)


async def test_a_mail_has_what_its_text_needs_and_its_token_only_sealed(wire, account, mail_to, rows, make_settings):
    token, until = "the-token-of-a-link", utcnow()
    details = {"device": "Firefox on Linux"}
    mail_id = await mail_to(account, MailKind.RESET_PASSWORD, token=token, expires_at=until, details=details)
    (event,) = [one for one in await of_user(wire, account.id, 2) if one["type"] == "account_mail.requested.v1"]
    resource = event["data"]["resource"]
    sealed, requested_at = resource.pop("token_sealed"), resource.pop("requested_at")
    assert resource == {
        "id": str(mail_id),
        "user_id": str(account.id),
        "kind": "reset_password",
        "to": account.email,
        "display_name": "Ada",
        "locale": None,
        "timezone": "UTC",
        "expires_at": rfc3339(until),
        "details": details,
        "address": None,
        "device": None,
    }
    assert requested_at >= rfc3339(until)
    assert (event["partitionkey"], event["sequence"], event["data"]["actor"]) == (str(mail_id), 1, None)
    assert (event["data"]["entity_type"], event["data"]["entity_id"]) == ("account_mail", str(mail_id))
    ring = make_settings().mail_sealing.ring()
    assert ring.open(sealed, place=token_place(mail_id)) == token.encode()
    with pytest.raises(SealError):
        ring.open(sealed, place=token_place(uuid7()))
    with pytest.raises(SealError):
        KeyRing.parse(make_settings().auth.encryption_keys.get_secret_value()).open(sealed, place=token_place(mail_id))
    ((stored,),) = await rows("SELECT data::text FROM auth.outbox WHERE stream_id = :id", id=mail_id)
    assert token not in stored
    assert token not in json.dumps(event)


async def test_mails_by_which_an_owner_can_tell_a_stranger_say_where_the_request_came_from(confirmed, mail_to, rows):
    bind_request(RequestContext("request-1", new_traceparent(), "203.0.113.7", "Firefox"))
    for kind in MailKind:
        await mail_to(confirmed, kind)
    query = """
        SELECT data->'resource'->>'kind', data->'resource'->>'address', data->'resource'->>'device' FROM auth.outbox
        WHERE type = 'account_mail.requested.v1' AND data->'resource'->>'user_id' = :id
    """
    found = {kind: (address, device) for kind, address, device in await rows(query, id=str(confirmed.id))}
    silent = {kind for kind, origin in found.items() if origin == (None, None)}
    assert silent == {
        "verify_email",
        "already_registered",
        "reset_password",
        "reset_password_forced",
        "confirm_email_change",
        "account_disabled",
        "account_enabled",
        "account_deleted",
        "role_changed",
    }
    assert {origin for kind, origin in found.items() if kind not in silent} == {("203.0.113.7", "Firefox")}
    assert len(found) == len(MailKind)


async def test_a_mail_goes_elsewhere_when_told_so_and_nowhere_after_a_rollback(confirmed, mail_to, rows):
    mail_id = await mail_to(confirmed, MailKind.EMAIL_CHANGED, to="old@example.com")
    with pytest.raises(KeyError):
        await mail_to(confirmed, MailKind.PASSWORD_CHANGED, then=KeyError)
    query = """
        SELECT stream_id, data->'resource'->>'to' FROM auth.outbox
        WHERE type = 'account_mail.requested.v1' AND data->'resource'->>'user_id' = :id
    """
    assert await rows(query, id=str(confirmed.id)) == [(mail_id, "old@example.com")]


LINKS = ["verify_email", "already_registered", "reset_password", "reset_password_forced", "confirm_email_change"]


async def test_an_address_that_was_never_confirmed_gets_no_notices(account, mail_to, mails_about):
    asked = [await mail_to(account, kind) for kind in MailKind]
    found = [mail["kind"] for mail in await mails_about(account.id)]
    assert sorted(found) == sorted([*LINKS, "password_changed", "account_deleted"])
    assert asked.count(None) == len(MailKind) - 7


async def test_an_address_that_was_never_confirmed_gets_twenty_notices_an_hour_of_those_that_it_gets(
    account, mail_to, mails_about
):
    asked = [await mail_to(account, MailKind.PASSWORD_CHANGED) for _ in range(21)]
    assert [one is None for one in asked] == [False] * 20 + [True]
    assert len(await mails_about(account.id)) == 20


async def test_an_account_gets_twenty_notices_an_hour_and_those_of_a_theft_beyond(
    confirmed, mail_to, mails_about, rows
):
    kinds = [MailKind.API_TOKEN_CREATED, MailKind.PASSKEY_ADDED]
    asked = [await mail_to(confirmed, kinds[number % 2]) for number in range(22)]
    assert [one is None for one in asked] == [False] * 20 + [True] * 2
    always = [MailKind.SESSION_COMPROMISED, MailKind.PASSWORD_CHANGED, MailKind.EMAIL_CHANGED, MailKind.ACCOUNT_DELETED]
    for kind in [*always, *(MailKind(link) for link in LINKS)]:
        assert await mail_to(confirmed, kind) is not None
    assert len(await mails_about(confirmed.id)) == 29
    hour = "UPDATE auth.mail_budget SET sent_at[1] = now() - interval '1 h' WHERE account_id = :id"
    await rows(hour, id=confirmed.id)
    asked = [await mail_to(confirmed, MailKind.PASSKEY_ADDED) for _ in range(2)]
    assert [one is None for one in asked] == [False, True]


async def test_of_notices_at_once_no_more_than_twenty_are_asked_for(confirmed, mail_to):
    asked = await asyncio.gather(*(mail_to(confirmed, MailKind.PASSKEY_ADDED) for _ in range(25)))
    assert sorted(one is None for one in asked) == [False] * 20 + [True] * 5


async def test_a_notice_that_nobody_could_send_for_a_week_is_of_no_use(confirmed, mail_to, mails_about):
    await mail_to(confirmed, MailKind.PASSKEY_ADDED)
    (mail,) = await mails_about(confirmed.id)
    ends, asked = (datetime.fromisoformat(mail[name]) for name in ("expires_at", "requested_at"))
    assert ends - asked == timedelta(days=7)


async def test_a_refused_request_publishes_nothing(api, account, events):
    body = {**account.credentials, "display_name": "Twin"}
    assert (await api.post("/api/v1/auth/register", json=body)).status_code == 409
    wrong = {"email": account.email, "password": "not this one"}
    assert (await api.post("/api/v1/auth/login", json=wrong)).status_code == 401
    assert await events(account.id) == ["user.registered.v1"]


async def test_the_contracts_that_are_committed_are_those_of_the_code():
    for contract in EVENTS:
        assert json.loads((CONTRACTS / f"{contract.type}.schema.json").read_bytes()) == contract.json_schema()
        example = json.loads((CONTRACTS / f"{contract.type}.example.json").read_bytes())
        Draft202012Validator(contract.json_schema()).validate(example)


def test_what_nobody_takes_is_published_without_asking_for_somebody_who_does():
    asked_for = {contract.type for contract in EVENTS if not contract.optional}
    assert not any(kind.startswith(("token.", "session.")) for kind in asked_for)

"""From auth's events about people to names and tombstones: the newest state, in any order, and an end is final."""

import asyncio
import itertools
import json
from pathlib import Path

import pytest
from chassis.broker.consumer import ConsumerRunner
from chassis.broker.port import Message, Reject
from chassis.broker.streams import StreamsTransport
from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.db.transactions import transaction
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.outbox.envelope import EventEnvelope
from tasks_service.db import Inbox
from tasks_service.directory.consumers import on_person
from tasks_service.worker import CONSUMERS
from tasks_service.workspaces.consumers import on_user_registered
from tasks_service.workspaces.service import create_workspace, ensure_personal_workspace

CONTRACTS = Path(__file__).parents[4] / "contracts" / "events" / "auth"
PERSON = (
    "SELECT display_name, avatar_url, email_canonical, email_verified, kind, status, timezone, version"
    " FROM tasks.person WHERE id = :id"
)
TOMBSTONE = (None, None, None, False, "human", "deleted", None)


def person_event(event_type, user, *, version=1, **resource):
    """An event about somebody, with what an account has beside what is read of it."""
    shown = {
        "id": str(user),
        "kind": "human",
        "status": "active",
        "email": "Ada@Example.com",
        "email_verified": True,
        "display_name": "Ada",
        "avatar_url": "https://example.com/ada.png",
        "timezone": "Europe/Berlin",
        "version": version,
        "added_tomorrow": True,
        **resource,
    }
    data = {"entity_type": "user", "entity_id": str(user), "version": version, "actor": None, "changes": []}
    return EventEnvelope(
        event_id=uuid7(),
        type=event_type,
        source="/taskloom/auth",
        subject=user,
        occurred_at=utcnow(),
        stream_id=user,
        sequence=version,
        data={**data, "audience": [str(user)], "request_id": "r", "resource": shown},
    )


@pytest.fixture
def take(database, valkey_url):
    """Takes events in, one after the other, as the worker does."""
    runner = ConsumerRunner(database, table_of(Inbox), StreamsTransport(valkey_url, prefix="unused"), on_person)

    async def take(*events):
        for event in events:
            await runner.handle(Message(str(event.event_id), event.type, str(event.stream_id), event.to_json()))

    return take


def test_the_worker_has_a_queue_for_them():
    assert on_person in CONSUMERS
    assert on_person.queue.patterns == ("user.*.v1", "service_account.*.v1")


async def test_somebody_is_known_from_their_registration_and_changes_count_once(take, rows):
    user = uuid7()
    registered = person_event("user.registered.v1", user, email_verified=False)
    await take(registered, registered)
    ada = ("Ada", "https://example.com/ada.png", "ada@example.com")
    assert await rows(PERSON, id=user) == [(*ada, False, "human", "active", "Europe/Berlin", 1)]
    await take(person_event("user.updated.v1", user, version=2, display_name="Ada L.", avatar_url=None))
    assert await rows(PERSON, id=user) == [
        ("Ada L.", None, "ada@example.com", True, "human", "active", "Europe/Berlin", 2)
    ]


async def test_the_newest_state_counts_in_whatever_order_events_come(take, rows):
    for order in itertools.permutations(range(3)):
        user = uuid7()
        events = [person_event("user.updated.v1", user, version=one, display_name=f"v{one}") for one in (1, 2, 3)]
        await take(*(events[one] for one in order))
        ((name, *_, version),) = await rows(PERSON, id=user)
        assert (name, version) == ("v3", 3), order


async def test_events_of_one_person_at_once_leave_the_newest(take, rows):
    user = uuid7()
    await asyncio.gather(
        *(take(person_event("user.updated.v1", user, version=one, display_name=f"v{one}")) for one in range(1, 21))
    )
    ((name, *_, version),) = await rows(PERSON, id=user)
    assert (name, version) == ("v20", 20)


async def test_a_deletion_leaves_a_tombstone_and_is_final(take, rows):
    for order in itertools.permutations(range(3)):
        user = uuid7()
        events = [
            person_event("user.registered.v1", user),
            person_event("user.deleted.v1", user, version=2, status="deleted", display_name="Deleted user", email=None),
            person_event("user.updated.v1", user, version=3),
        ]
        await take(*(events[one] for one in order))
        ((*left, _),) = await rows(PERSON, id=user)
        assert tuple(left) == TOMBSTONE, order


async def test_addresses_are_compared_in_the_form_in_which_auth_compares_them(take, rows):
    forms = {
        "ADA@EXAMPLE.COM": "ada@example.com",
        "ada@b\u00fccher.example": "ada@xn--bcher-kva.example",
        "no address": None,
    }
    for written, canonical in forms.items():
        user = uuid7()
        await take(person_event("user.registered.v1", user, email=written))
        ((_, _, email, verified, *_),) = await rows(PERSON, id=user)
        assert (email, verified) == (canonical, canonical is not None)


async def test_longest_values_of_the_producer_fit(take, rows):
    user = uuid7()
    avatar = "https://example.com/".ljust(2048, "a")
    await take(person_event("user.registered.v1", user, display_name="n" * 100, avatar_url=avatar))
    assert (await rows(PERSON, id=user))[0][:2] == ("n" * 100, avatar)


async def test_what_is_no_person_is_rejected(take, rows):
    user = uuid7()
    for wrong in ({"display_name": None}, {"kind": "cat"}, {"email": 7}):
        with pytest.raises(Reject):
            await take(person_event("user.updated.v1", user, **wrong))
    assert await rows(PERSON, id=user) == []


def examples():
    return sorted(one.name.removesuffix(".example.json") for one in CONTRACTS.glob("user.*.example.json"))


@pytest.mark.parametrize("event_type", examples())
async def test_the_producers_examples_are_understood(take, rows, event_type):
    user = uuid7()
    example = json.loads((CONTRACTS / f"{event_type}.example.json").read_bytes())
    example["id"] = str(uuid7())
    example["data"]["entity_id"] = example["data"]["resource"]["id"] = str(user)
    await take(EventEnvelope.from_json(json.dumps(example).encode()))
    ((name, _, email, verified, kind, status, *_),) = await rows(PERSON, id=user)
    resource = example["data"]["resource"]
    assert (kind, status) == ("human", resource["status"])
    if event_type == "user.deleted.v1":
        assert (name, email, verified) == (None, None, False)
    else:
        assert (name, email, verified) == ("Ada", "ada@example.com", True)


async def test_service_accounts_are_in_it_too(take, rows):
    account = uuid7()
    example = json.loads((CONTRACTS / "service_account.created.v1.example.json").read_bytes())
    example["data"]["entity_id"] = example["data"]["resource"]["id"] = str(account)
    states = [
        ("service_account.created.v1", 1, "Importer", ("Importer", "active", 1)),
        ("service_account.updated.v1", 2, "Exporter", ("Exporter", "active", 2)),
        ("service_account.created.v1", 1, "Importer", ("Exporter", "active", 2)),
        ("service_account.deleted.v1", 3, "Exporter", (None, "deleted", 2)),
        ("service_account.updated.v1", 4, "Late", (None, "deleted", 2)),
    ]
    for event_type, version, name, expected in states:
        example |= {"id": str(uuid7()), "type": event_type}
        example["data"]["resource"] |= {"name": name, "version": version}
        await take(EventEnvelope.from_json(json.dumps(example).encode()))
        ((shown, _, email, _, kind, status, _, known),) = await rows(PERSON, id=account)
        assert ((shown, status, known), email, kind) == (expected, None, "service"), event_type


async def test_who_is_deleted_is_a_member_of_nothing_and_their_own_workspace_goes(take, rows, database):
    user, other = uuid7(), uuid7()
    async with transaction(database) as session:
        await ensure_personal_workspace(session, owner=Principal(user, uuid7()))
        shared, _ = await create_workspace(
            session, owner=Principal(other, uuid7()), name="Team", members=[user], projects_named=[]
        )
    deleted = person_event("user.deleted.v1", user, version=2, status="deleted")
    await take(person_event("user.registered.v1", user), deleted, deleted)
    assert await rows("SELECT role FROM tasks.member WHERE user_id = :u", u=user) == []
    gone = "SELECT deleted_at IS NOT NULL FROM tasks.workspace WHERE personal_owner_id = :u"
    assert await rows(gone, u=user) == [(True,)]
    assert await rows("SELECT deleted_at FROM tasks.workspace WHERE id = :id", id=shared) == [(None,)]
    log = "SELECT type FROM tasks.change WHERE workspace_id = :w AND actor->>'id' = :u"
    assert await rows(log, w=shared, u=str(user)) == [("member.removed.v1",)]


async def test_invitations_of_somebody_who_is_deleted_are_forgotten(take, rows, database):
    user, other = uuid7(), uuid7()
    async with transaction(database) as session:
        shared, _ = await create_workspace(
            session, owner=Principal(other, uuid7()), name="Team", members=(), projects_named=[]
        )
    email = f"{user}@example.com"
    await take(person_event("user.registered.v1", user, email=email))
    for address, state, by in (
        (email, "pending", None),
        ("b@x.example", "accepted", user),
        ("c@x.example", "pending", None),
    ):
        await rows(
            "INSERT INTO tasks.invitation (id, workspace_id, email, email_canonical, role, projects, token_hash, state,"
            " invited_by, accepted_by, version, created_at, updated_at, expires_at) VALUES (uuidv7(), :w, :e, :e,"
            " 'member', '[]', uuid_send(uuidv7()), :state, :o, :by, 1, now(), now(), now() + interval '1 day')",
            w=shared,
            e=address,
            state=state,
            o=other,
            by=by,
        )
    await take(person_event("user.deleted.v1", user, version=2, status="deleted"))
    assert await rows("SELECT email FROM tasks.invitation WHERE workspace_id = :w", w=shared) == [("c@x.example",)]
    log = "SELECT type, audience, changes FROM tasks.change WHERE workspace_id = :w AND actor->>'id' = :u"
    change = {"field": "state", "old": "pending", "new": "revoked"}
    assert await rows(log, w=shared, u=str(user)) == [("invitation.deleted.v1", [other], [change])]


async def test_who_is_disabled_stays_a_member(take, rows, database):
    user = uuid7()
    async with transaction(database) as session:
        shared, _ = await create_workspace(
            session, owner=Principal(user, uuid7()), name="Team", members=(), projects_named=[]
        )
    await take(person_event("user.disabled.v1", user, status="disabled"))
    assert await rows("SELECT role FROM tasks.member WHERE workspace_id = :w", w=shared) == [("owner",)]


async def test_a_sign_up_that_is_heard_of_after_the_end_makes_no_workspace(take, rows, database, valkey_url):
    user = uuid7()
    await take(person_event("user.deleted.v1", user, version=2, status="deleted"))
    event = person_event("user.registered.v1", user)
    message = Message(str(event.event_id), event.type, str(event.stream_id), event.to_json())
    transport = StreamsTransport(valkey_url, prefix="unused")
    await ConsumerRunner(database, table_of(Inbox), transport, on_user_registered).handle(message)
    assert await rows("SELECT id FROM tasks.workspace WHERE personal_owner_id = :u", u=user) == []

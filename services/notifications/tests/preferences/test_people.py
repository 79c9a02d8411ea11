"""Who there is, as auth tells it: twice, out of order, and to the end."""

import asyncio
import itertools
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from chassis.clock import utcnow
from chassis.db.transactions import transaction
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.outbox.envelope import EventEnvelope
from chassis.sealing import KeyRing
from notifications_service.people.consumers import PEOPLE
from notifications_service.people.service import find_people, who_can_be_told
from notifications_service.recording.repository import add as record
from notifications_service.webhooks.repository import hold
from notifications_service.webhooks.schemas import WebhookCreate
from notifications_service.webhooks.service import create_webhook
from testkit.topics import matches

ORDERS = [*itertools.permutations(range(3))]
RING = KeyRing.parse("k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
CONTRACTS = Path(__file__).parents[4] / "contracts" / "events" / "auth"


@pytest.fixture
def known(database):
    async def known(user_id):
        async with transaction(database) as session:
            return (await find_people(session, user_ids=[user_id])).get(user_id)

    return known


async def test_people_are_known_by_what_auth_tells_of_them(tell, account, known):
    await tell(account.event("user.registered.v1", email_verified=False))
    before = await known(account.id)
    await tell(account.event(display_name="Ada L.", timezone="Europe/Berlin", locale="de", email_verified=True))
    after = await known(account.id)
    assert (before.address, before.name, before.zone.key, before.can_be_told) == (None, "Ada", "UTC", True)
    assert (after.address, after.name, after.zone, after.locale) == (
        account.email,
        "Ada L.",
        ZoneInfo("Europe/Berlin"),
        "de",
    )


@pytest.mark.parametrize("order", ORDERS)
async def test_whatever_the_order_the_newest_state_counts(tell, account, known, order):
    states = [account.event(display_name=name) for name in ("one", "two", "three")]
    await tell(*(states[place] for place in order), states[0])
    assert (await known(account.id)).name == "three"


@pytest.mark.parametrize("order", ORDERS)
async def test_of_who_is_gone_nothing_is_left_whatever_comes_later(tell, account, known, rows, told_of, order):
    gone = told_of("user.deleted.v1", account.id, 3, {"id": str(account.id)})
    states = [account.event(), account.event(), gone]
    await tell(*(states[place] for place in order))
    found = await known(account.id)
    assert (found.address, found.name, found.can_be_told) == (None, "Deleted user", False)
    ((row,),) = await rows("SELECT to_jsonb(p) FROM notifications.person p WHERE user_id = :id", id=account.id)
    assert "Ada" not in str(row)
    assert account.email not in str(row)


async def test_of_who_is_gone_nothing_that_was_recorded_is_left(tell, account, database, rows, told_of):
    about = {"channel": "email", "notification_id": uuid7(), "digest_id": None, "target_id": None}
    kept = {**about, "user_id": account.id, "content": {"to": account.email}, "recorded_at": utcnow()}
    other = uuid7()
    async with transaction(database) as session:
        await record(session, {"id": uuid7(), **kept})
        await record(session, {"id": uuid7(), **kept, "user_id": other})
    await tell(account.event(), told_of("user.deleted.v1", account.id, 3, {"id": str(account.id)}))
    query = "SELECT user_id FROM notifications.recorded_message WHERE user_id IN (:gone, :other)"
    assert await rows(query, gone=account.id, other=other) == [(other,)]


async def test_webhooks_of_who_is_gone_end_at_once(tell, account, database, told_of):
    async with transaction(database) as session:
        wanted = WebhookCreate.model_validate({"url": "https://hooks.example.com/", "scope": {"type": "user"}})
        actor = Principal(user_id=account.id, session_id=uuid7())
        made, _ = await create_webhook(session, wanted=wanted, actor=actor, ring=RING)
    await tell(account.event(), told_of("user.deleted.v1", account.id, 3, {"id": str(account.id)}))
    async with transaction(database) as session:
        assert await hold(session, made["id"]) is None


@pytest.mark.parametrize("status", ["deactivated", "disabled", "deleting"])
async def test_a_closed_account_is_told_nothing_until_it_is_open_again(tell, account, database, status):
    async def told():
        async with transaction(database) as session:
            return await who_can_be_told(session, user_ids=[account.id])

    await tell(account.event("user.registered.v1"), account.event(status=status))
    assert await told() == set()
    await tell(account.event("user.reactivated.v1", status="active"))
    assert await told() == {account.id}


async def test_programs_are_no_people_and_who_is_not_known_yet_is_taken_for_one(tell, told_of, database):
    program, stranger = uuid7(), uuid7()
    resource = {"id": str(program), "name": "Robot", "version": 1}
    await tell(told_of("service_account.created.v1", program, 1, resource))
    async with transaction(database) as session:
        assert await who_can_be_told(session, user_ids=[program, stranger]) == {stranger}


async def test_many_deliveries_of_many_states_at_once_leave_the_newest(tell, account, known):
    states = [account.event(display_name=f"name {number}") for number in range(20)]
    await asyncio.gather(*(tell(one) for one in [*states, *states]))
    assert (await known(account.id)).name == "name 19"


def test_every_event_of_an_account_is_consumed():
    types = {path.name.removesuffix(".schema.json") for path in CONTRACTS.glob("*.schema.json")}
    of_accounts = {one for one in types if one.startswith(("user.", "service_account."))}
    assert len(of_accounts) >= 12
    assert all(any(matches(pattern, one) for pattern in PEOPLE.patterns) for one in of_accounts)


@pytest.mark.parametrize("path", sorted(CONTRACTS.glob("user.*.example.json")), ids=lambda path: path.name)
async def test_the_examples_of_auth_are_understood(tell, known, path):
    event = EventEnvelope.from_json(path.read_bytes())
    await tell(event.model_copy(update={"event_id": uuid7()}))
    assert await known(event.subject) is not None

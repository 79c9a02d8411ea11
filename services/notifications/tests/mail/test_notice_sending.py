"""Mail of notifications on its whole way: planned, sent once, and what becomes of an address that is refused."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from chassis.clock import utcnow
from chassis.db.engine import open_database
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from chassis.sealing import KeyRing
from chassis.settings import DatabaseSettings
from notifications_service.deliveries.sender import DeliverySender
from notifications_service.digests.service import make_digests
from notifications_service.emails.rules import Unsubscription
from notifications_service.emails.service import read_channel, unsubscribe
from notifications_service.inbox.schemas import NewNotification
from notifications_service.inbox.service import notify
from notifications_service.mailing.driver import EmailDriver
from notifications_service.mailing.letterhead import Letterhead, parse_sender
from notifications_service.mailing.smtp import SmtpServer
from notifications_service.outgoing.service import Preparation
from notifications_service.people.service import note_person
from notifications_service.preferences.schemas import PreferencesPut
from notifications_service.preferences.service import replace_preferences
from pydantic import SecretStr
from testkit.waiting import eventually

LETTERHEAD = Letterhead(parse_sender("Taskloom <no-reply@tasks.example>"), "https://api.example", "https://app.example")
RING = KeyRing({"n1": b"n" * 32})
STATES = "SELECT state, reason, attempts FROM notifications.delivery WHERE user_id = :id ORDER BY id"
NOTIFICATIONS = "SELECT id FROM notifications.notification WHERE event_id = ANY(:ids) ORDER BY seq"
KINDS = "SELECT kind FROM notifications.notification WHERE user_id = :id ORDER BY seq"
FRAMES = "SELECT frame ->> 'type' FROM notifications.stream_event WHERE workspace_id = :id ORDER BY seq"
LAST_IS_LATER = """
    UPDATE notifications.delivery SET is_instant = false
    WHERE id = (SELECT id FROM notifications.delivery WHERE user_id = :id ORDER BY id DESC LIMIT 1)
"""
CAME_EARLIER = """
    UPDATE notifications.delivery SET created_at = :earlier
    WHERE id = (SELECT id FROM notifications.delivery WHERE user_id = :id ORDER BY id LIMIT 1)
"""
KNOWN_AGAIN = """
    INSERT INTO notifications.person (user_id, kind, status, email, email_verified, version)
    VALUES (:id, 'human', 'active', :email, true, 1)
"""
LEASE_ENDS = "UPDATE notifications.delivery SET lease_until = now() WHERE user_id = :id"
IN_A_PROCESS = "import runpy, sys; runpy.run_path(sys.argv[1])['send_in_a_process'](*sys.argv[2:])"


def sender_of(database, port):
    driver = EmailDriver(SmtpServer("127.0.0.1", port), LETTERHEAD, RING)
    return DeliverySender(database, {"email": driver}, Preparation("https://app.example/t").prepare, poll_seconds=0.1)


def send_in_a_process(url, port):
    """Send until killed."""

    async def run():
        database = open_database(DatabaseSettings(url=SecretStr(url)), application_name="a sender that dies")
        await sender_of(database, int(port)).run(asyncio.Event())

    asyncio.run(run())


@pytest.fixture
def bob():
    return uuid7()


@pytest.fixture
def planned(database, rows, bob):
    """Notifies Bob, whose address is known, of as many things; returns the ids of the notifications."""

    async def planned(count=1, **about):
        known = {"display_name": "Bob", "email": f"{bob.hex}@example.com", "email_verified": True, "timezone": "UTC"}
        state = {"kind": "human", "status": "active", "locale": None, "version": 1, **about.pop("person", {})}
        told = {"kind": "assigned", "event_type": "task.updated.v1", **about}
        wanted = [NewNotification(user_id=bob, event_id=uuid7(), **told) for _ in range(count)]
        async with transaction(database) as session:
            await note_person(session, person={"user_id": bob, **known, **state})
            assert await notify(session, wanted=wanted) == count
            assert await notify(session, wanted=wanted) == 0
        ids = [one.event_id for one in wanted]
        return [row[0] for row in await rows(NOTIFICATIONS, ids=ids)]

    return planned


@pytest.fixture
def sending_to(database):
    @asynccontextmanager
    async def sending_to(server, senders=1):
        stop = asyncio.Event()
        running = [asyncio.create_task(sender_of(database, server.port).run(stop)) for _ in range(senders)]
        yield
        stop.set()
        await asyncio.gather(*running)

    return sending_to


@pytest.fixture
def settled(rows, bob):
    async def settled():
        found = await rows(STATES, id=bob)
        return found if found and all(state != "new" for state, _, _ in found) else None

    return settled


async def test_k3_each_mail_leaves_once_whoever_sends(planned, sending_to, mail_server, settled, bob):
    ids = await planned(30)
    async with sending_to(mail_server, senders=3):
        assert await eventually(settled) == [("sent", None, 1)] * 30
    # What other tests have put off may leave meanwhile, too.
    told = Counter(mail["Message-ID"] for mail in mail_server.messages if bob.hex in mail["To"])
    assert told == Counter(f"<{one}.{bob}@tasks.example>" for one in ids)


async def test_k3_a_sender_killed_after_the_servers_yes_sends_the_same_message_id_again(
    planned, sending_to, mail_server, settled, bob, rows, database_settings
):
    """The one window in which a mail leaves twice: receivers know it by its id."""
    (notification_id,) = await planned()
    url = database_settings.url.get_secret_value()
    killed = asyncio.Event()

    async def take_it_and_kill(_server):
        os.kill(process.pid, signal.SIGKILL)
        killed.set()
        return "250 OK"

    mail_server.on_data = take_it_and_kill
    command = [sys.executable, "-c", IN_A_PROCESS, __file__, url, str(mail_server.port)]
    process = subprocess.Popen(command)
    await asyncio.wait_for(killed.wait(), 30)
    await asyncio.to_thread(process.wait)
    assert await rows(STATES, id=bob) == [("new", None, 1)]

    async def take_it(_server):
        return "250 OK"

    mail_server.on_data = take_it
    await rows(LEASE_ENDS, id=bob)
    async with sending_to(mail_server):
        assert await eventually(settled) == [("sent", None, 2)]
    ids = [mail["Message-ID"] for mail in mail_server.messages]
    assert ids == [f"<{notification_id}.{bob}@tasks.example>"] * 2


async def test_k3_an_address_that_is_refused_for_good_gets_no_second_try(
    planned, sending_to, mail_server, settled, bob, database, rows
):
    async def refuse(_server):
        return "550 5.1.1 no such mailbox"

    mail_server.on_recipient = refuse
    await planned()
    async with sending_to(mail_server):
        # The mail about it has nowhere to go, either.
        gone = ("skipped", "no_address", 1)
        assert await eventually(settled) == [("failed", "recipient_550", 1)] or (await settled())[1:] == [gone]
        await planned()
        await eventually(settled)
    assert (await settled())[1:] == [gone, gone]
    assert len(mail_server.recipients) == 1
    async with transaction(database) as session:
        found = await read_channel(session, user_id=bob)
    assert (found.state, found.disabled_reason) == ("disabled", "recipient_550")
    assert await rows(KINDS, id=bob) == [("assigned",), ("channel_disabled",), ("assigned",)]
    frames = [row[0] for row in await rows(FRAMES, id=bob)]
    assert frames[:3] == ["notification.created", "channel.disabled", "notification.created"]


@pytest.mark.parametrize(
    ("person", "reason"),
    [({"status": "disabled"}, "inactive"), ({"email_verified": False}, "no_address")],
)
async def test_k3_who_is_out_or_has_no_verified_address_gets_no_mail(
    planned, sending_to, mail_server, settled, person, reason, bob, database, rows
):
    await planned()
    await rows("UPDATE notifications.person SET version = 0 WHERE user_id = :id", id=bob)
    known = {"display_name": "Bob", "email": f"{bob.hex}@example.com", "email_verified": True, "timezone": "UTC"}
    state = {"kind": "human", "status": "active", "locale": None, "version": 2, **person}
    async with transaction(database) as session:
        await note_person(session, person={"user_id": bob, **known, **state})
    async with sending_to(mail_server):
        assert await eventually(settled) == [("skipped", reason, 1)]
    assert mail_server.messages == []


async def test_k3_mail_to_who_is_not_known_yet_waits_until_they_are(
    planned, sending_to, mail_server, settled, bob, rows
):
    await planned()
    address = await rows("DELETE FROM notifications.person WHERE user_id = :id RETURNING email", id=bob)
    async with sending_to(mail_server):

        async def tried():
            return await rows(STATES, id=bob) == [("new", "no_address", 1)]

        await eventually(tried)
        await rows(KNOWN_AGAIN, id=bob, email=address[0][0])
        await rows("UPDATE notifications.delivery SET due_at = now() WHERE user_id = :id", id=bob)
        assert await eventually(settled) == [("sent", None, 2)]
    assert mail_server.recipients == [address[0][0]]


async def test_k3_what_is_read_is_mailed_only_where_it_was_due_at_once(
    planned, sending_to, mail_server, settled, bob, rows
):
    await planned(2)
    await rows(LAST_IS_LATER, id=bob)
    await rows("UPDATE notifications.notification SET read_at = now() WHERE user_id = :id", id=bob)
    async with sending_to(mail_server):
        assert await eventually(settled) == [("sent", None, 1), ("skipped", "read", 1)]
    assert len(mail_server.messages) == 1


async def test_k3_what_is_out_of_sight_meanwhile_is_not_mailed(
    planned, sending_to, mail_server, settled, feed, world, bob
):
    await feed.keep(world.joins(bob))
    await planned(workspace_id=world.id)
    await feed.keep(world.leaves(bob))
    async with sending_to(mail_server):
        assert await eventually(settled) == [("skipped", "not_visible", 1)]
    assert mail_server.messages == []


@pytest.fixture
def digested(database, bob):
    """Makes the digest that Bob wants each day."""

    async def digested():
        body = {"preferences": [], "digest": {"frequency": "daily", "at": "08:00", "tz": "UTC"}}
        async with transaction(database) as session:
            await replace_preferences(session, user_id=bob, wanted=PreferencesPut.model_validate(body), expected=None)
            await make_digests(session, now=utcnow() + timedelta(days=1))

    return digested


@pytest.mark.parametrize("subject", ["assigned", "*"])
async def test_k3_what_is_turned_off_before_it_leaves_does_not_leave(
    planned, sending_to, mail_server, settled, bob, database, subject
):
    await planned(2)
    async with transaction(database) as session:
        await unsubscribe(session, wanted=Unsubscription(bob, subject))
    async with sending_to(mail_server):
        assert await eventually(settled) == [("skipped", "turned_off", 1)] * 2
    assert mail_server.messages == []


async def test_k3_a_digest_that_is_turned_off_before_it_leaves_does_not_leave(
    planned, sending_to, mail_server, settled, bob, database, digested
):
    await planned(3, kind="commented")
    await digested()
    async with transaction(database) as session:
        await unsubscribe(session, wanted=Unsubscription(bob, "digest"))
    async with sending_to(mail_server):
        assert await eventually(settled) == [("skipped", "turned_off", 1)]
    assert mail_server.messages == []


async def test_k2_a_digest_leaves_as_one_mail(planned, sending_to, mail_server, settled, bob, digested):
    await planned(3, kind="commented")
    await digested()
    async with sending_to(mail_server, senders=2):
        assert await eventually(settled) == [("sent", None, 1)]
    (mail,) = mail_server.messages
    assert mail["Subject"] == "3 unread notifications"
    assert mail["Message-ID"].endswith(f".{bob}@tasks.example>")


async def test_k2_what_is_tried_again_in_quiet_hours_waits_for_their_end(
    planned, sending_to, mail_server, settled, bob, database, rows
):
    now = utcnow()
    begins, ends = (now + timedelta(minutes=minutes) for minutes in (-5, 90))
    quiet = {"tz": "UTC", "from": f"{begins:%H:%M}", "to": f"{ends:%H:%M}"}
    await planned(2)
    async with transaction(database) as session:
        wanted = PreferencesPut.model_validate({"preferences": [], "quiet_hours": quiet})
        await replace_preferences(session, user_id=bob, wanted=wanted, expected=None)
    # One came before they began; what came in them, and was let through, is urgent.
    await rows(CAME_EARLIER, id=bob, earlier=now - timedelta(hours=1))

    async def sent():
        return [one for one in await rows(STATES, id=bob) if one[0] == "sent"]

    async with sending_to(mail_server):
        assert await eventually(sent) == [("sent", None, 1)]
        assert (await rows(STATES, id=bob))[0] == ("new", None, 0)
        ((due_at,),) = await rows(
            "SELECT due_at FROM notifications.delivery WHERE user_id = :id AND state = 'new'", id=bob
        )
        assert due_at == ends.replace(second=0, microsecond=0)
        await rows("UPDATE notifications.notification_preference SET quiet_hours = NULL WHERE user_id = :id", id=bob)
        await rows("UPDATE notifications.delivery SET due_at = now() WHERE user_id = :id AND state = 'new'", id=bob)
        assert await eventually(settled) == [("sent", None, 1)] * 2

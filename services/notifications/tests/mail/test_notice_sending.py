"""Mail of notifications on its whole way: planned, sent once, and what becomes of an address that is refused."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from chassis.db.engine import open_database
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from chassis.sealing import KeyRing
from chassis.settings import DatabaseSettings
from notifications_service.deliveries.drivers import Notice, Outgoing, Person
from notifications_service.deliveries.schemas import PlannedDelivery
from notifications_service.deliveries.sender import DeliverySender
from notifications_service.deliveries.service import plan
from notifications_service.emails.service import addresses_of, read_channel
from notifications_service.mailing.driver import EmailDriver
from notifications_service.mailing.letterhead import Letterhead, parse_sender
from notifications_service.mailing.smtp import SmtpServer
from notifications_service.people.service import note_person
from pydantic import SecretStr
from testkit.waiting import eventually

LETTERHEAD = Letterhead(parse_sender("Taskloom <no-reply@tasks.example>"), "https://api.example", "https://app.example")
RING = KeyRing({"n1": b"n" * 32})
STATES = "SELECT state, reason, attempts FROM notifications.delivery WHERE user_id = :id ORDER BY id"
LEASE_ENDS = "UPDATE notifications.delivery SET lease_until = now() WHERE user_id = :id"
IN_A_PROCESS = "import runpy, sys; runpy.run_path(sys.argv[1])['send_in_a_process'](*sys.argv[2:])"


async def prepare(session, rows):
    """Tell each what its delivery is of, if mail reaches them."""
    addresses = await addresses_of(session, user_ids={row["user_id"] for row in rows})
    return {row["id"]: message_of(row, addresses.get(row["user_id"])) for row in rows}


def message_of(row, address):
    said = "Ann assigned TL-7 Buy milk to you"
    return Outgoing(
        delivery_id=row["id"],
        channel="email",
        attempts=row["attempts"],
        notification_id=row["notification_id"],
        digest_id=None,
        notices=[Notice(row["notification_id"], "assigned", said, datetime(2026, 11, 26, tzinfo=UTC))],
        person=Person(row["user_id"], "Bob", address),
    )


def sender_of(database, port):
    driver = EmailDriver(SmtpServer("127.0.0.1", port), LETTERHEAD, RING)
    return DeliverySender(database, {"email": driver}, prepare, poll_seconds=0.1)


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
def planned(database, bob):
    """Plans mail of new notifications to Bob, whose address is known."""

    async def planned(count=1):
        known = {"display_name": "Bob", "email": f"{bob.hex}@example.com", "email_verified": True, "timezone": "UTC"}
        state = {"kind": "human", "status": "active", "locale": None, "version": 1}
        ids = [uuid7() for _ in range(count)]
        async with transaction(database) as session:
            await note_person(session, person={"user_id": bob, **known, **state})
            rows = [PlannedDelivery(user_id=bob, channel="email", notification_id=one) for one in ids]
            assert await plan(session, rows=rows) == count
            assert await plan(session, rows=rows) == 0
        return ids

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
    told = Counter(mail["Message-ID"] for mail in mail_server.messages)
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
    planned, sending_to, mail_server, settled, bob, database
):
    async def refuse(_server):
        return "550 5.1.1 no such mailbox"

    mail_server.on_recipient = refuse
    await planned()
    async with sending_to(mail_server):
        assert await eventually(settled) == [("failed", "recipient_550", 1)]
        await planned()
        assert (await eventually(settled))[1] == ("failed", "no_address", 1)
    assert len(mail_server.recipients) == 1
    async with transaction(database) as session:
        found = await read_channel(session, user_id=bob)
    assert (found.state, found.disabled_reason) == ("disabled", "recipient_550")

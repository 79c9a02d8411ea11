"""Many receivers, of which some do their worst, and a worker that is killed in the middle of it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import AsyncExitStack

import pytest
from chassis.db.engine import Database
from standardwebhooks.webhooks import Webhook
from testkit.waiting import eventually

WORKER = """
import asyncio, os, sys
from chassis.cursors import CursorSigner
from chassis.db.engine import open_database
from chassis.egress.client import Egress
from chassis.egress.settings import EgressSettings
from chassis.sealing import KeyRing
from chassis.settings import DatabaseSettings
from notifications_service.webhook_sending.sender import WebhookSender

async def main():
    database = open_database(DatabaseSettings(url=os.environ["DATABASE_URL"]), application_name="killed")
    rules = EgressSettings(
        allowed_networks=("127.0.0.0/8",), allowed_ports=("1-65535",), allow_http=True
    ).rules(production=False)
    sender = WebhookSender(
        database, Egress(rules), ring=KeyRing.parse(os.environ["KEYS"]), signer=CursorSigner(os.environ["SECRET"])
    )
    await sender.run(asyncio.Event())

asyncio.run(main())
"""
KEYS = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


@pytest.fixture
def scope(place):
    return {"type": "workspace", "id": str(place.workspace)}


@pytest.fixture
def running(sender_of):
    async def run(count=1, **egress):
        stop = asyncio.Event()
        return stop, [asyncio.create_task(sender_of(**egress).run(stop)) for _ in range(count)]

    return run


async def hang(_request):
    await asyncio.Event().wait()
    return b""


async def flood(_request):
    return b"HTTP/1.1 200 OK\r\n" + b"x: " + b"a" * 4_000_000


async def redirect(_request):
    return b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n"


async def garbage(_request):
    return b"\x16\x03\x01\x02\x00" * 20


WORST = (hang, flood, redirect, garbage)


async def test_k10_forty_receivers_of_which_ten_do_their_worst(
    owner, acting, receiving, scope, place, world, keep, running, rows
):
    """Forty of two scopes, since one has twenty."""
    async with AsyncExitStack() as stack:
        receivers = [await stack.enter_async_context(receiving()) for _ in range(40)]
        bad = {id(one): WORST[number % len(WORST)] for number, one in enumerate(receivers[::4])}
        webhooks = []
        for number, receiver in enumerate(receivers):
            receiver.answer = bad.get(id(receiver), receiver.answer)
            caller = owner if number < 20 else acting("admin")
            of = scope if number < 20 else {"type": "user"}
            webhooks.append((caller, await caller.create(receiver, scope=of), receiver))
        tasks = world.tasks(10)
        await keep(*tasks)
        ids = sorted(str(one.event_id) for one in tasks)
        stop, senders = await running(2, connect_seconds=1.0, total_seconds=2.0)
        good = [one for one in webhooks if id(one[2]) not in bad]

        async def arrived():
            return all(len(receiver.ids) >= 10 for _, _, receiver in good)

        await eventually(arrived)
        stop.set()
        await asyncio.gather(*senders)
        for _, webhook, receiver in good:
            assert sorted(receiver.ids) == ids
            for request in receiver.requests:
                Webhook(webhook["secret"]).verify(request.body, request.headers)
        for caller, webhook, receiver in webhooks:
            states = Counter(one["reason"] for one in await caller.deliveries(webhook))
            if id(receiver) not in bad:
                assert states == {None: 10}
            else:
                assert set(receiver.ids) <= set(ids)
                assert states.keys() <= {None, "timeout", "protocol", "redirect"}
        assert await rows("SELECT count(*) FROM notifications.webhook_delivery WHERE state = 'delivered'") == [(300,)]


async def test_k10_a_worker_that_is_killed_loses_nothing(
    owner, receiver, scope, world, keep, running, rows, database: Database, database_settings, secret, place
):
    webhook = await owner.create(receiver, scope=scope)
    tasks = world.tasks(60)
    await keep(*tasks)
    gate = asyncio.Event()

    async def slowly(_request):
        await gate.wait()
        return b"HTTP/1.1 204 No Content\r\n\r\n"

    environment = {
        **os.environ,
        "DATABASE_URL": database_settings.url.get_secret_value(),
        "KEYS": KEYS,
        "SECRET": secret,
    }
    for killed in range(3):
        receiver.answer = slowly
        before = len(receiver.requests)
        worker = subprocess.Popen([sys.executable, "-c", WORKER], env=environment)

        async def in_the_middle(before=before):
            return len(receiver.requests) >= before + 4

        await eventually(in_the_middle)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        # Leases end by themselves after a minute.
        ended = await rows(
            "UPDATE notifications.webhook_delivery SET lease_until = NULL WHERE lease_until > now() RETURNING id"
        )
        assert len(ended) == 4, killed
    gate.set()
    receiver.says(204)
    stop, senders = await running()

    async def all_of_them():
        return {one["state"] for one in await owner.deliveries(webhook)} == {"delivered"}

    await eventually(all_of_them)
    stop.set()
    await asyncio.gather(*senders)
    counts = Counter(receiver.ids)
    assert counts.keys() == {str(one.event_id) for one in tasks}
    assert sum(counts.values()) == 60 + 3 * 4
    for request in receiver.requests:
        assert request.event["event_id"] == request.headers["webhook-id"]
        Webhook(webhook["secret"]).verify(request.body, request.headers)

"""From what somebody is told of to their chats and devices, as the worker sends it."""

import asyncio
import base64
import os
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import http_ece
import orjson
import pytest
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from notifications_service import settings
from notifications_service.cards.rules import excerpt_of
from notifications_service.channels import ChannelSender
from notifications_service.chat.service import forget_connections
from notifications_service.devices.service import forget_devices
from notifications_service.inbox.schemas import NewNotification
from notifications_service.inbox.service import notify
from notifications_service.people.service import note_person
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from testkit.waiting import eventually

CHATS, DEVICES, INBOX = "/api/v1/chat-connections", "/api/v1/devices", "/api/v1/notifications"
KEYS = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
STATES = "SELECT channel, state, reason FROM notifications.delivery WHERE user_id = :u AND channel <> 'email'"


@dataclass
class Outside:
    """A chat and a push service in one."""

    url: str = ""
    status: int = 200
    content: bytes = b"ok"
    methods: list = field(default_factory=list)
    taken: list = field(default_factory=list)

    async def take(self, request: Request) -> Response:
        self.taken.append((request.url.path, await request.body()))
        self.methods.append(request.method)
        return Response(self.content, self.status)

    def at(self, path):
        return [body for taken, body in self.taken if taken == path]


@pytest.fixture
async def outside(serve_app):
    found = Outside()
    async with serve_app(Starlette(routes=[Route("/{path:path}", found.take, methods=["POST", "PATCH"])])) as port:
        found.url = f"http://127.0.0.1:{port}"
        yield found


@pytest.fixture
def working(database, database_settings, monkeypatch, book):
    """Runs the worker's senders with the settings of a real process, and these beside."""

    @asynccontextmanager
    async def working(senders=1, **changed):
        environment = {
            "DATABASE_URL": database_settings.url.get_secret_value(),
            "REDIS_URL": "redis://127.0.0.1",
            "BROKER_URL": "redis://127.0.0.1",
            "CURSOR_SECRET": "c" * 32,
            "IDENTITY_VERIFY_KEY": "key",
            "MAIL_SEALING_KEYS": KEYS,
            "NOTIFICATIONS_SEALING_KEYS": KEYS,
            "NOTIFICATIONS_TASKS_URL": "http://tasks:8000",
            "NOTIFICATIONS_VAPID_KEY": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY",
            "EGRESS_ALLOWED_NETWORKS": "127.0.0.0/8",
            "EGRESS_ALLOWED_PORTS": "1024-65535",
            "EGRESS_ALLOW_HTTP": "true",
            **changed,
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        stop, loaded = asyncio.Event(), settings.load()
        running = [asyncio.create_task(ChannelSender(loaded, database).run(stop)) for _ in range(senders)]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*running)

    return working


@pytest.fixture
def told(database):
    """Tells somebody that a task is theirs."""

    async def told(user, **about):
        wanted = NewNotification(user_id=user, kind="assigned", event_id=uuid7(), event_type="task.updated.v1", **about)
        async with transaction(database) as session:
            assert await notify(session, wanted=[wanted]) == 1

    return told


async def settled(rows, user, count=None):
    async def nothing_waits():
        found = await rows(STATES, u=user)
        waits = [one for one in found if one[1] == "new"] or (count is not None and len(found) < count)
        return None if waits else found

    return Counter(await eventually(nothing_waits))


@pytest.fixture
def mine(api, headers, outside):
    """Gives the caller a chat and a browser; returns the browser's keys."""

    async def mine(kind="slack"):
        body = {"name": "My chat", "kind": kind, "scope": {"type": "user"}, "url": f"{outside.url}/chat"}
        assert (await api.post(CHATS, json=body, headers=headers)).status_code == 201
        key, secret = ec.generate_private_key(ec.SECP256R1()), os.urandom(16)
        form = serialization.PublicFormat.UncompressedPoint
        point = key.public_key().public_bytes(serialization.Encoding.X962, form)
        keys = {"p256dh": _encoded(point), "auth": _encoded(secret)}
        subscription = {"endpoint": f"{outside.url}/push/{uuid7()}", "keys": keys}
        body = {"kind": "webpush", "name": "Firefox", "subscription": subscription}
        assert (await api.post(DEVICES, json=body, headers=headers)).status_code == 201
        return key, secret, subscription["endpoint"].removeprefix(outside.url)

    return mine


def _encoded(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


async def test_k4_k5_a_notification_comes_once_in_the_chat_and_on_the_device(
    api, me, headers, told, mine, outside, working, rows
):
    key, secret, path = await mine()
    await told(me)
    async with working(senders=3):
        assert await settled(rows, me) == {("chat", "sent", None): 1, ("push", "sent", None): 1}
    (posted,), (pushed,) = outside.at("/chat"), outside.at(path)
    assert orjson.loads(posted)["text"] == "Taskloom assigned a task to you"
    plain = orjson.loads(http_ece.decrypt(pushed, private_key=key, auth_secret=secret, version="aes128gcm"))
    ((notification,),) = await rows("SELECT id FROM notifications.notification WHERE user_id = :u", u=me)
    assert plain == {
        "title": "Taskloom",
        "body": "Taskloom assigned a task to you",
        "data": {"kind": "assigned", "notification_id": str(notification)},
    }
    shown = (await api.get(f"{INBOX}/{notification}/deliveries", headers=headers)).json()["data"]
    names = Counter((one["channel"], one["target_name"], one["state"]) for one in shown if one["target_id"])
    assert names == {("chat", "My chat", "sent"): 1, ("push", "Firefox", "sent"): 1}


async def test_k4_k5_people_read_names_of_members_and_single_lines(
    database, me, mine, told, outside, working, rows, feed, world
):
    key, secret, path = await mine()
    bob, stranger, comment = uuid7(), uuid7(), uuid7()
    title = "Pay\r\nBcc: all\u202e"
    task = world.task(title)
    await feed.keep(world.joins(me), world.joins(bob), task)
    async with transaction(database) as session:
        for user, name in ((bob, "Bob\nB."), (stranger, "Stranger")):
            known = {"kind": "human", "status": "active", "email_verified": False, "version": 1}
            await note_person(session, person={"user_id": user, "display_name": name, **known})
    words = excerpt_of(f"@[user:{bob}] and\n@[user:{stranger}]: {'x' * 80} @[user:{bob}]")
    card = {"c": comment, "t": task.data["task_id"], "b": bob, "w": words}
    await rows("INSERT INTO notifications.comment_card VALUES (:c, :t, :b, :w)", **card)
    about = {"task_id": UUID(task.data["task_id"]), "comment_id": comment}
    await told(me, workspace_id=world.id, **about)
    async with working():
        await settled(rows, me, 2)
    said = f"@Bob B. and @somebody: {'x' * 80} …"
    ((posted,), (pushed,)) = outside.at("/chat"), outside.at(path)
    assert orjson.loads(posted)["text"].endswith(f": {said}")
    plain = orjson.loads(http_ece.decrypt(pushed, private_key=key, auth_secret=secret, version="aes128gcm"))
    assert plain["body"].endswith(f": {said}")
    assert not {"\r", "\n", "\u202e"} & {*plain["title"], *plain["body"]}


async def test_what_was_read_meanwhile_is_not_sent(api, me, headers, told, mine, outside, working, rows):
    await mine()
    await told(me)
    await api.post(f"{INBOX}/read-all", json={}, headers=headers)
    async with working():
        assert await settled(rows, me) == {("chat", "skipped", "read"): 1, ("push", "skipped", "read"): 1}
    assert outside.taken == []


async def test_what_cannot_be_seen_any_more_is_not_sent(me, told, mine, outside, working, rows, feed, world):
    await mine()
    await feed.keep(world.joins(me))
    await told(me, workspace_id=world.id)
    await feed.keep(world.leaves(me))
    async with working():
        found = await settled(rows, me)
    assert found == {("chat", "skipped", "not_visible"): 1, ("push", "skipped", "not_visible"): 1}
    assert outside.taken == []


async def test_a_device_that_is_anothers_meanwhile_gets_nothing_of_its_last_user(
    api, me, told, mine, outside, working, rows, test_gateway
):
    _, _, path = await mine()
    await told(me)
    other = test_gateway.headers(uuid7())
    keys = {"p256dh": _encoded(_point()), "auth": _encoded(os.urandom(16))}
    body = {"kind": "webpush", "name": "F", "subscription": {"endpoint": f"{outside.url}{path}", "keys": keys}}
    assert (await api.post(DEVICES, json=body, headers=other)).status_code == 201
    async with working():
        assert (await settled(rows, me))["push", "skipped", "target_gone"] == 1
    assert outside.at(path) == []


def _point():
    form = serialization.PublicFormat.UncompressedPoint
    return ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(serialization.Encoding.X962, form)


async def test_k4_a_chat_that_is_gone_is_turned_off_and_its_owner_is_told_once(
    api, me, headers, told, mine, outside, working, rows
):
    await mine()
    for _ in range(3):
        await told(me)
    outside.status = 410
    async with working(senders=2):
        found = await settled(rows, me)
    assert found["chat", "failed", "status_410"] == 1
    assert found["chat", "skipped", "target_gone"] == 2
    assert (await api.get(DEVICES, headers=headers)).json()["data"] == []
    (chat,) = (await api.get(CHATS, headers=headers)).json()["data"]
    assert (chat["enabled"], chat["disabled_reason"]) == (False, "status_410")
    kinds = [one["kind"] for one in (await api.get(INBOX, headers=headers)).json()["data"]]
    assert kinds.count("channel_disabled") == 1
    (note,) = (await api.get(f"{INBOX}?kind=channel_disabled", headers=headers)).json()["data"]
    assert note["text"] == "The chat My chat was turned off: it takes nothing any more (status_410)"
    frames = await rows("SELECT frame ->> 'type' FROM notifications.stream_event WHERE workspace_id = :u", u=me)
    assert frames.count(("channel.disabled",)) == 1
    where = f"{CHATS}/{chat['id']}"
    back = (await api.patch(where, json={"enabled": True}, headers=headers)).json()["data"]
    assert (back["enabled"], back["disabled_reason"]) == (True, None)


async def test_who_develops_reads_what_would_be_sent(api, me, headers, told, mine, outside, working, rows):
    await mine("discord")
    await told(me)
    async with working(NOTIFICATIONS_DRIVERS="recording"):
        assert await settled(rows, me) == {("chat", "sent", None): 1, ("push", "sent", None): 1}
    assert outside.taken == []
    recorded = (await api.get("/api/v1/recorded-messages", headers=headers)).json()["data"]
    found = {one["channel"]: one["content"] for one in recorded}
    assert found["chat"]["body"]["content"] == "Taskloom assigned a task to you"
    assert (found["push"]["body"], found["push"]["device_kind"]) == ("Taskloom assigned a task to you", "webpush")


async def test_who_is_gone_leaves_no_device_and_no_chat(api, me, headers, mine, database):
    await mine()
    async with transaction(database) as session:
        await forget_devices(session, user_id=me)
        await forget_connections(session, user_id=me)
    assert (await api.get(DEVICES, headers=headers)).json()["data"] == []
    assert (await api.get(CHATS, headers=headers)).json()["data"] == []


async def test_k4_what_happens_to_a_task_within_a_minute_changes_the_message_in_discord(
    me, told, mine, outside, working, rows, feed, world
):
    await mine("discord")
    await feed.keep(world.joins(me))
    outside.content, task = b'{"id": "1234"}', uuid7()
    async with working(senders=2):
        for count in (2, 4, 6):
            await told(me, workspace_id=world.id, task_id=task)
            found = await settled(rows, me, count)
    assert found["chat", "sent", None] == 3
    assert [path for path, _ in outside.taken if "push" not in path] == [
        "/chat",
        "/chat/messages/1234",
        "/chat/messages/1234",
    ]
    assert Counter(outside.methods) == {"PATCH": 2, "POST": 4}


async def test_k4_what_happens_to_a_task_within_a_minute_waits_in_slack(
    me, told, mine, outside, working, rows, feed, world
):
    await mine("slack")
    await feed.keep(world.joins(me))
    task = uuid7()
    states = "SELECT state FROM notifications.delivery WHERE user_id = :u AND channel = 'chat' ORDER BY id"
    async with working(senders=2):
        await told(me, workspace_id=world.id, task_id=task)
        await settled(rows, me)
        for _ in range(2):
            await told(me, workspace_id=world.id, task_id=task)

        async def put_off():
            later = f"{states.replace('state FROM', 'due_at > now() FROM')}"
            return (await rows(later, u=me))[1:] == [(True,), (True,)]

        await eventually(put_off)
        assert await rows(states, u=me) == [("sent",), ("new",), ("new",)]
        assert len(outside.at("/chat")) == 1
        await rows(
            "UPDATE notifications.delivery SET due_at = now(), settled_at = settled_at - interval '61 s' "
            "WHERE user_id = :u AND channel = 'chat'",
            u=me,
        )
        await settled(rows, me)
    assert await rows(states, u=me) == [("sent",), ("skipped",), ("sent",)]
    assert len(outside.at("/chat")) == 2

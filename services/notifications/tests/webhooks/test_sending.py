"""What is sent, how it is signed, when it is tried again, and what a receiver may do."""

import asyncio
import random
from datetime import datetime, timedelta

import pytest
from chassis.clock import rfc3339, utcnow
from chassis.ids import uuid7
from notifications_service.sending.answers import retry_after
from notifications_service.webhook_deliveries.rules import DELAYS, asked_to_wait, delay_after
from sqlalchemy import text
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from testkit.waiting import eventually

DISABLED = "webhook.disabled"


@pytest.fixture
def scope(place):
    return {"type": "workspace", "id": str(place.workspace)}


@pytest.fixture
async def webhook(owner, receiver, scope):
    return await owner.create(receiver, scope=scope)


def verified(secret, request):
    return Webhook(secret).verify(request.body, request.headers)


async def told(rows, user):
    found = await rows(
        "SELECT frame->>'type', frame->'data' FROM notifications.stream_event WHERE workspace_id = :u ORDER BY seq",
        u=user,
    )
    return [tuple(one) for one in found]


async def test_k9_what_is_sent_is_the_event_signed(webhook, owner, receiver, world, keep, send, signer, place):
    task = world.task("Buy milk", project_id=str(place.project), changes=[{"field": "title", "old": None, "new": "x"}])
    await keep(task)
    assert await send() == 1
    [request] = receiver.requests
    assert request.path == "/hook"
    assert request.json == verified(webhook["secret"], request)
    assert request.json == {
        "type": "task.created",
        "timestamp": rfc3339(task.occurred_at),
        "data": {
            "seq": task.sequence,
            "cursor": signer.position({world.id: task.sequence}),
            "event_id": str(task.event_id),
            "type": "task.created",
            "workspace_id": str(world.id),
            "project_id": str(place.project),
            "task_id": task.data["task_id"],
            "subject": str(task.subject),
            "version": 1,
            "changes": [{"field": "title", "old": None, "new": "x"}],
            "actor": task.data["actor"],
            "data": task.data["resource"],
            "occurred_at": rfc3339(task.occurred_at),
            "origin_request_id": task.data["request_id"],
        },
    }
    headers = request.headers
    assert headers["webhook-id"] == str(task.event_id)
    assert abs(int(headers["webhook-timestamp"]) - utcnow().timestamp()) < 30
    assert (headers["user-agent"], headers["content-type"]) == ("Taskloom-Webhooks/1", "application/json")
    assert len(headers["traceparent"]) == 55
    [found] = await owner.deliveries(webhook)
    assert (found["state"], found["attempt_count"], found["status"]) == ("delivered", 1, 204)
    assert found["settled_at"] is not None
    detail = await owner.delivery(webhook, found)
    assert detail["request"] == {
        "url": receiver.url,
        "headers": {name: headers[name] for name in ("content-type", "user-agent", "webhook-id")},
        "body": request.json,
    }
    [attempt] = detail["attempts"]
    assert attempt == {**attempt, "number": 1, "status": 204, "reason": None, "excerpt": None}
    assert await send() == 0


async def test_k9_a_changed_body_is_not_what_was_signed(webhook, receiver, world, keep, send):
    await keep(world.task())
    await send()
    [request] = receiver.requests
    with pytest.raises(WebhookVerificationError):
        Webhook(webhook["secret"]).verify(request.body + b" ", request.headers)


async def test_k8_a_thin_payload_says_what_and_where(owner, receiver, scope, world, keep, send):
    webhook = await owner.create(receiver, scope=scope, payload="thin")
    await keep(world.task())
    await send()
    event = verified(webhook["secret"], receiver.requests[0])["data"]
    assert not {"data", "changes"} & event.keys()
    assert {"event_id", "subject", "version", "cursor"} < event.keys()


async def test_k9_both_secrets_sign_for_a_day(webhook, owner, receiver, world, keep, send):
    rotated = (await owner.post(f"/{webhook['id']}/rotate-secret")).json()["data"]
    assert rotated["secret"] != webhook["secret"]
    left = datetime.fromisoformat(rotated["secret_overlap_until"]) - utcnow()
    assert timedelta(hours=23, minutes=59) < left <= timedelta(hours=24)
    await keep(world.task())
    await send()
    [request] = receiver.requests
    assert len(request.headers["webhook-signature"].split(" ")) == 2
    assert verified(webhook["secret"], request) == verified(rotated["secret"], request)
    again = (await owner.post(f"/{webhook['id']}/rotate-secret")).json()["data"]
    await keep(world.task())
    await send()
    last = receiver.requests[-1]
    assert verified(again["secret"], last) == verified(rotated["secret"], last)
    with pytest.raises(WebhookVerificationError):
        verified(webhook["secret"], last)


async def test_k9_the_secret_before_ends_after_a_day(webhook, owner, receiver, world, keep, send, rows):
    rotated = (await owner.post(f"/{webhook['id']}/rotate-secret")).json()["data"]
    await rows("UPDATE notifications.webhook SET old_secret_until = now() - interval '1 second'")
    await keep(world.task())
    await send()
    [request] = receiver.requests
    assert len(request.headers["webhook-signature"].split(" ")) == 1
    verified(rotated["secret"], request)


async def test_k10_ten_attempts_over_three_days_and_one_id(webhook, owner, receiver, world, keep, send):
    receiver.says(500, "no")
    await keep(world.task())
    now, waits = utcnow(), []
    for number in range(1, 11):
        assert await send(now) == 1
        [found] = await owner.deliveries(webhook)
        assert found["attempt_count"] == number
        if number < 10:
            assert (found["state"], found["reason"], found["status"]) == ("pending", "status", 500)
            due = datetime.fromisoformat(found["next_attempt_at"])
            waits.append(due - now)
            assert await send(due - timedelta(seconds=1)) == 0
            now = due
    assert (found["state"], found["next_attempt_at"]) == ("failed", None)
    for wait, delay in zip(waits, DELAYS, strict=True):
        assert delay * 0.8 <= wait <= delay * 1.2
    assert sum(DELAYS, timedelta()) == timedelta(hours=75, minutes=35, seconds=5)
    assert len(set(receiver.ids)) == 1
    assert len({request.body for request in receiver.requests}) == 1
    for request in receiver.requests[-1:]:
        with pytest.raises(WebhookVerificationError, match="too new"):
            verified(webhook["secret"], request)
    assert await send(now + timedelta(days=30)) == 0
    assert [one["number"] for one in (await owner.delivery(webhook, found))["attempts"]] == [*range(1, 11)]


def test_k10_attempts_are_spread_by_a_fifth():
    for attempts, delay in enumerate(DELAYS, 1):
        assert delay_after(attempts, chance=0.0) == delay * 0.8
        assert delay_after(attempts, chance=1.0) == delay * 1.2
    assert delay_after(10, chance=0.5) is None
    waits = {delay_after(1, chance=random.random()) for _ in range(50)}
    assert len(waits) > 40


@pytest.mark.parametrize(
    ("status", "given", "expected"),
    [
        (429, "120", timedelta(seconds=120)),
        (503, "120", timedelta(seconds=120)),
        (500, "120", None),
        (200, "120", None),
        (429, "999999999999999999999", timedelta(hours=24)),
        (429, "90000", timedelta(hours=24)),
        (429, "0", timedelta(0)),
        (429, "-5", None),
        (429, "soon", None),
        (429, "\uff11\uff12", None),
        (429, "", None),
        (429, "Thu, 26 Nov 2026 12:10:00 GMT", timedelta(minutes=10)),
        (429, "Thu, 26 Nov 2020 12:10:00 GMT", timedelta(0)),
        (503, "Thu, 26 Nov 2099 12:10:00 GMT", timedelta(hours=24)),
        (503, "Thu, 99 Nov 2099 12:10:00 GMT", None),
    ],
)
def test_r61_what_a_receiver_asks_for(status, given, expected):
    now = datetime.fromisoformat("2026-11-26T12:00:00+00:00")
    assert asked_to_wait(status, retry_after({"retry-after": given}, now=now)) == expected


def test_r61_a_receiver_that_asks_for_nothing():
    assert asked_to_wait(429, retry_after({})) is None


@pytest.mark.parametrize("status", [429, 503])
async def test_r61_retry_after_is_honoured(webhook, owner, receiver, world, keep, send, status):
    receiver.says(status, retry_after="3600")
    await keep(world.task())
    now = utcnow()
    await send(now)
    [found] = await owner.deliveries(webhook)
    assert datetime.fromisoformat(found["next_attempt_at"]) - now == timedelta(hours=1)


@pytest.mark.parametrize(
    ("status", "state", "reason"),
    [(200, "delivered", None), (299, "delivered", None), (301, "pending", "redirect"), (307, "pending", "redirect"),
     (400, "pending", "status"), (404, "pending", "status"), (500, "pending", "status"), (504, "pending", "status")],
)  # fmt: skip
async def test_r61_only_2xx_is_a_success(webhook, owner, receiver, receiving, world, keep, send, status, state, reason):
    async with receiving() as canary:
        receiver.says(status, "what it says\0", location=canary.url)
        await keep(world.task())
        await send()
        [found] = await owner.deliveries(webhook)
        assert (found["state"], found["reason"], found["status"]) == (state, reason, status)
        [attempt] = (await owner.delivery(webhook, found))["attempts"]
        assert attempt["excerpt"] == "what it says\ufffd"
        assert canary.requests == []


async def test_r61_gone_disables_at_once_and_the_owner_is_told(
    webhook, owner, receiver, world, keep, send, rows, place
):
    receiver.says(410)
    await keep(*world.tasks(3))
    await send()
    found = (await owner.get(f"/{webhook['id']}")).json()["data"]
    assert (found["enabled"], found["disabled_reason"], found["version"]) == (False, "gone", 2)
    [(kind, data)] = await told(rows, place.people["owner"])
    assert kind == DISABLED
    assert (data["id"], data["disabled_reason"], data["scope"]) == (webhook["id"], "gone", webhook["scope"])
    before = len(receiver.requests)
    await keep(world.task())
    assert await send(utcnow() + timedelta(days=1)) == 0
    assert len(receiver.requests) == before <= 3
    receiver.says(200)
    assert (await owner.post(f"/{webhook['id']}/enable")).json()["data"]["enabled"] is True
    assert await send(utcnow() + timedelta(days=1)) == 3
    states = {one["state"] for one in await owner.deliveries(webhook)}
    assert states == {"delivered"}


async def test_r61_five_days_of_nothing_but_failures_disable(webhook, owner, receiver, world, keep, send, rows, place):
    receiver.says(500)
    await keep(world.task())
    begun = utcnow()
    await send(begun)
    assert (await owner.get(f"/{webhook['id']}")).json()["data"]["failing_since"] == rfc3339(begun)
    await keep(world.task())
    await send(begun + timedelta(days=4, hours=23))
    assert (await owner.get(f"/{webhook['id']}")).json()["data"]["enabled"] is True
    assert await told(rows, place.people["owner"]) == []
    await keep(world.task())
    await send(begun + timedelta(days=5, seconds=1))
    found = (await owner.get(f"/{webhook['id']}")).json()["data"]
    assert (found["enabled"], found["disabled_reason"]) == (False, "failing")
    assert [one[0] for one in await told(rows, place.people["owner"])] == [DISABLED]
    enabled = (await owner.post(f"/{webhook['id']}/enable")).json()["data"]
    assert (enabled["disabled_reason"], enabled["failing_since"]) == (None, None)


async def test_r61_one_success_in_five_days_is_enough(webhook, owner, receiver, world, keep, send):
    begun = utcnow()
    for day, status in enumerate((500, 500, 500, 200, 500, 500, 500)):
        receiver.says(status)
        await keep(world.task())
        await send(begun + timedelta(days=day))
    found = (await owner.get(f"/{webhook['id']}")).json()["data"]
    assert found["enabled"] is True
    assert found["failing_since"] == rfc3339(begun + timedelta(days=4))


async def test_r62_where_requests_may_not_go_is_a_failed_attempt(webhook, owner, receiver, world, keep, send, rows):
    await rows("UPDATE notifications.webhook SET url = 'http://10.0.0.1:8080/'")
    await keep(world.task())
    await send()
    [found] = await owner.deliveries(webhook)
    assert (found["state"], found["reason"], found["status"]) == ("pending", "blocked", None)
    await rows("UPDATE notifications.webhook SET url = :u", u=receiver.url)
    assert await send(utcnow() + timedelta(minutes=1)) == 1
    assert len(receiver.requests) == 1


async def test_k8_words_that_were_deleted_are_not_sent_and_neither_is_what_its_owner_lost(
    acting, receiver, scope, world, keep, send, place
):
    admin = acting("admin")
    webhook = await admin.create(receiver, scope={"type": "user"})
    comment = str(uuid7())
    said = world.event("comment.created.v1", entity_type="comment", resource={"id": comment, "body": "words"})
    gone = world.event("comment.deleted.v1", entity_type="comment", resource={"id": comment, "body": None})
    await keep(said, gone)
    assert await send() == 2
    first = next(one for one in receiver.requests if one.json["type"] == "comment.created")
    assert first.event["data"]["body"] is None
    await keep(world.task())
    await keep(world.leaves(place.people["admin"]))
    assert await send() == 1
    assert len(receiver.requests) == 2
    latest = (await admin.deliveries(webhook))[0]
    assert (latest["state"], latest["reason"], latest["attempt_count"]) == ("cancelled", "access_lost", 0)
    assert (await admin.delivery(webhook, latest))["request"] is None


def of_task(world, task, kind, *, title="secret", was=None, **where):
    """Return an event of a task, or of a comment on it."""
    noun = kind.partition(".")[0]
    own = {"title": title, "priority": where.pop("priority", "none")} if noun == "task" else {"body": "secret"}
    resource = {"id": task if noun == "task" else str(uuid7()), "task_id": task, **own}
    changes = [{"field": "priority", "old": was, "new": own["priority"]}] if was else []
    return world.event(f"{kind}.v1", entity_type=noun, resource=resource, task_id=task, changes=changes, **where)


async def test_k8_of_what_was_deleted_for_good_only_that_is_sent(owner, receiver, scope, world, keep, send, rows):
    webhook = await owner.create(receiver, scope=scope)
    task = str(uuid7())
    receiver.says(500)
    await keep(of_task(world, task, "task.created"), of_task(world, task, "comment.created"))
    assert await send() == 2
    receiver.says(204)
    receiver.requests.clear()
    await keep(of_task(world, task, "task.purged", title="last"))
    assert await send(utcnow() + timedelta(minutes=1)) == 3
    [sent] = receiver.requests
    assert (sent.event["type"], sent.event["removed"], sent.event["data"]["title"]) == (
        "task.purged",
        {"reason": "purged"},
        "last",
    )
    purged, *former = await owner.deliveries(webhook)
    assert purged["state"] == "delivered"
    assert [(one["state"], one["reason"]) for one in former] == [("cancelled", "purged")] * 2
    assert [(await owner.delivery(webhook, one))["request"] for one in former] == [None, None]


async def test_k8_what_was_deleted_for_good_is_sent_as_gone_through_a_filter(owner, receiver, scope, world, keep, send):
    """Having left that, it has a deletion that is not sent."""
    await owner.create(receiver, scope=scope, filter="priority = high")
    task = str(uuid7())
    await keep(
        of_task(world, task, "task.created", priority="high"),
        of_task(world, task, "task.updated", priority="low", was="high"),
        of_task(world, task, "task.purged", priority="low"),
    )
    assert await send() == 2
    assert sorted(one.event["type"] for one in receiver.requests) == ["task.created", "task.updated"]
    for sent in receiver.requests:
        gone = (sent.event["removed"], sent.event["data"], sent.event["changes"])
        assert gone == ({"reason": "purged"}, None, [])


async def test_k8_what_left_a_project_before_it_was_deleted_for_good_is_sent_as_lost_there(
    owner, receiver, place, world, keep, send
):
    """Its deletion is told of where it was then."""
    await owner.create(receiver, scope={"type": "project", "id": str(place.project)})
    task, elsewhere = str(uuid7()), str(uuid7())
    moved = of_task(world, task, "task.moved", project_id=elsewhere)
    moved.data["changes"] = [{"field": "project_id", "old": str(place.project), "new": elsewhere}]
    await keep(moved, of_task(world, task, "task.purged", project_id=elsewhere))
    await send()
    sent = [(one.event["type"], one.event["removed"]) for one in receiver.requests]
    assert sent == [("task.moved", {"reason": "access_lost"})]


async def test_k8_a_project_that_is_deleted_for_good_is_sent_as_it_was_told_however_late(
    owner, receiver, scope, place, world, keep, send
):
    await owner.create(receiver, scope=scope)
    receiver.says(500)
    resource = {"id": str(place.project), "name": "Garden", "visibility": "workspace"}
    about = {"entity_type": "project", "project_id": str(place.project)}
    await keep(
        world.event("project.updated.v1", resource=resource, **about),
        world.event("project.purged.v1", resource=resource, **about),
    )
    await send()
    receiver.says(204)
    receiver.requests.clear()
    await send(utcnow() + timedelta(minutes=1))
    [sent] = receiver.requests
    told = (sent.event["type"], sent.event["removed"], sent.event["data"])
    assert told == ("project.purged", {"reason": "purged"}, resource)


async def test_k10_at_most_four_at_once_and_one_that_hangs_slows_nobody(
    owner, receiver, receiving, scope, world, keep, sender_of
):
    ending = asyncio.Event()

    async def hang(_request):
        await ending.wait()
        return b"HTTP/1.1 204 No Content\r\n\r\n"

    async with receiving() as slow:
        slow.answer = hang
        hanging = await owner.create(slow, scope=scope)
        quick = await owner.create(receiver, scope=scope)
        await keep(*world.tasks(40))
        stop = asyncio.Event()
        running = [asyncio.create_task(sender_of().run(stop)) for _ in range(3)]

        async def done():
            return len(receiver.requests) >= 40

        await eventually(done)
        assert slow.most == len(slow.requests) == 4
        assert receiver.most <= 4

        async def noted():
            return {one["state"] for one in await owner.deliveries(quick)} == {"delivered"}

        await eventually(noted)
        ending.set()

        async def rest():
            return {one["state"] for one in await owner.deliveries(hanging)} == {"delivered"}

        await eventually(rest)
        stop.set()
        await asyncio.gather(*running)
        assert len(slow.ids) == len(set(slow.ids)) == 40
        assert len(receiver.ids) == len(set(receiver.ids)) == 40
        assert slow.most <= 4


async def test_k10_a_claim_that_is_lost_notes_nothing(webhook, owner, receiver, world, keep, sender_of, rows):
    async def steal(_request):
        await rows("UPDATE notifications.webhook_delivery SET claim = claim + 1, lease_until = now()")
        return b"HTTP/1.1 204 No Content\r\n\r\n"

    receiver.answer = steal
    await keep(world.task())
    await sender_of().send_due()
    assert [one["state"] for one in await owner.deliveries(webhook)] == ["pending"]
    receiver.says(200)
    await sender_of().send_due()
    assert [one["state"] for one in await owner.deliveries(webhook)] == ["delivered"]
    assert len(set(receiver.ids)) == 1


WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%webhook_delivery%'
"""


async def test_k10_what_is_settled_while_it_is_claimed_anew_is_not_sent_again(
    webhook, owner, receiver, world, keep, sender_of, rows, database
):
    await keep(world.task())
    async with database.writer.begin() as connection:
        settled = "UPDATE notifications.webhook_delivery SET state = 'delivered', lease_until = NULL"
        await connection.execute(text(settled))
        claiming = asyncio.create_task(sender_of().send_due())

        async def waits():
            return await rows(WAITING) == [(1,)]

        await eventually(waits)
    await claiming
    assert receiver.ids == []
    assert [one["state"] for one in await owner.deliveries(webhook)] == ["delivered"]


async def test_k10_what_nothing_can_be_told_of_is_tried_again_and_keeps_nobody_back(
    webhook, owner, receiver, world, keep, send, rows
):
    broken, *others = [world.task() for _ in range(4)]
    await keep(broken, *others)
    spoilt = "UPDATE notifications.stream_event SET frame = '[]' WHERE frame ->> 'event_id' = :id RETURNING seq"
    assert len(await rows(spoilt, id=str(broken.event_id))) == 1
    assert await send() == 4
    found = {one["event_id"]: (one["state"], one["attempt_count"]) for one in await owner.deliveries(webhook)}
    assert found.pop(str(broken.event_id)) == ("pending", 1)
    assert set(found.values()) == {("delivered", 1)}
    assert sorted(receiver.ids) == sorted(found)

"""From the broker into the replay store: whatever comes, in whatever order, readers see a gap-free prefix."""

import asyncio
import json
import random
from datetime import timedelta
from pathlib import Path

import pytest
from chassis.broker.consumer import ConsumerRunner
from chassis.broker.port import Message
from chassis.broker.rabbitmq import RabbitTransport
from chassis.broker.streams import StreamsTransport
from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from notifications_service.db import Inbox
from notifications_service.live import repository
from notifications_service.live.consumers import live_consumer
from notifications_service.live.service import keep_all
from notifications_service.scheduler import jobs
from pydantic import ValidationError
from redis.asyncio import Redis
from testkit.jobs import run_to_end
from testkit.statements import statements_seen
from testkit.waiting import eventually

CONTRACTS = Path(__file__).parents[4] / "contracts" / "events" / "tasks"
QUEUE = "notifications.live"


async def keep(session, event):
    """Take one event in; return what became readable by it, or None."""
    found = await keep_all(session, events=[event])
    return found[0] if found else None


@pytest.fixture
def head(database):
    async def head(world):
        async with database.reader.connect() as reader:
            return (await repository.heads(reader, [world.id])).get(world.id)

    return head


@pytest.fixture
def stored(rows):
    async def stored(world):
        query = "SELECT seq FROM notifications.stream_event WHERE workspace_id = :w ORDER BY seq"
        return [seq for (seq,) in await rows(query, w=world.id)]

    return stored


async def test_disorder_and_duplicates_leave_each_event_once_and_in_order(feed, world, team, service, head, stored):
    ann, _ = team
    events = world.tasks(12)
    mixed = [*events, *events[3:9], *events[:2]]
    random.Random(4).shuffle(mixed)
    async with service.reading(ann) as reader:
        await feed.keep(*mixed)
        assert [frame["seq"] for frame in await reader.frames(12)] == list(range(3, 15))
        assert await reader.is_idle()
    assert await head(world) == 14
    assert await stored(world) == list(range(1, 15))


async def test_one_change_under_two_event_ids_is_one_frame(feed, world, team, service, stored):
    ann, _ = team
    one = world.task()
    async with service.reading(ann) as reader:
        await feed.keep(one, one.model_copy(update={"event_id": uuid7()}), last := world.task())
        first, second = await reader.frames(2)
    assert (first["event_id"], second["event_id"]) == (str(one.event_id), str(last.event_id))
    assert await stored(world) == [1, 2, 3, 4]


async def test_what_a_change_does_not_say_is_null_and_one_of_no_field_is_refused(feed, world, team, service, database):
    ann, _ = team

    def label(**change):
        about = {"entity_type": "label", "resource": {"id": str(uuid7())}}
        return world.event("label.updated.v1", **about, changes=[change])

    async with service.reading(ann) as reader:
        await feed.keep(label(field="name", new="a"))
        assert (await reader.frame())["changes"] == [{"field": "name", "old": None, "new": "a"}]
    with pytest.raises(ValidationError):
        async with transaction(database) as session:
            await keep(session, label(old="a", new="b"))


async def test_an_event_that_is_missing_holds_its_workspace_back_and_no_other(feed, world, team, service, head):
    ann, _ = team
    missing, *others = world.tasks(3)
    elsewhere = type(world)()
    async with service.reading(ann) as reader:
        await feed.keep(*others, elsewhere.joins(ann), elsewhere.task())
        assert await head(world) == 2
        frames = await reader.frames(2)
        assert [frame["workspace_id"] for frame in frames] == [str(elsewhere.id)] * 2
        assert await reader.is_idle()
        await feed.keep(missing)
        assert [(frame["seq"], frame["workspace_id"]) for frame in await reader.frames(3)] == [
            (seq, str(world.id)) for seq in (3, 4, 5)
        ]


async def test_the_head_moves_over_more_than_a_thousand_events_at_once(database, world, head, rows):
    first, *others = world.tasks(2300)
    await rows(
        "INSERT INTO notifications.stream_event"
        " SELECT :w, seq, 'task.created.v1', '{}', '{}', now() FROM generate_series(2, 2300) AS seq",
        w=world.id,
    )
    async with transaction(database) as session:
        advance = await keep(session, first)
    assert advance.head == len(others) + 1 == 2300
    assert await head(world) == 2300


async def test_each_of_many_heads_moves_up_to_its_first_gap(database, rows):
    """All of them in one statement, but for those of which there is as much as is looked at at once, or more."""
    cases = {
        uuid7(): case
        for case in [
            (0, [], 0),
            (0, [1, 2, 3], 3),
            (0, [2, 3], 0),
            (4, [5, 6, 8, 9], 6),
            (4, [6], 4),
            (4, [3, 4, 5], 5),
            (7, [*range(8, 2008), 2009], 2007),
            (7, range(8, 1008), 1007),
        ]
    }
    for stream, (before, following, _) in cases.items():
        await rows("INSERT INTO notifications.stream_head VALUES (:w, :n)", w=stream, n=before)
        await rows(
            "INSERT INTO notifications.stream_event"
            " SELECT :w, seq, 'task.created.v1', '{}', '{}', now() FROM unnest(CAST(:n AS bigint[])) AS seq",
            w=stream,
            n=list(following),
        )
    with statements_seen(database.writer) as statements:
        async with transaction(database) as session:
            found = await repository.advance_heads(session, {one: before for one, (before, _, _) in cases.items()})
    assert found == {one: after for one, (_, _, after) in cases.items()}
    assert [one.split()[0] for one in statements] == ["UPDATE", "UPDATE", "UPDATE"]
    async with database.reader.connect() as reader:
        assert await repository.heads(reader, cases) == found


async def test_what_follows_in_a_workspace_takes_three_statements(database, world, head):
    """Many changes at once are taken in one after the other, and whoever else changes something comes after them."""
    first, second = world.tasks(2)
    async with transaction(database) as session:
        await keep(session, first)
    with statements_seen(database.writer) as statements:
        async with transaction(database) as session:
            await keep(session, second)
    assert [one.split()[0] for one in statements] == ["SELECT", "INSERT", "UPDATE"]
    assert await head(world) == 2


async def test_many_changes_take_hardly_more_statements_than_one(database, world, head, stored):
    """Of two workspaces, in any order: each has its head looked at once, and both are moved at once."""
    other = type(world)()
    async with transaction(database) as session:
        await keep_all(session, events=[world.task("first"), other.task("first")])
    events = [*world.tasks(20), *other.tasks(11)]
    random.Random(5).shuffle(events)
    with statements_seen(database.writer) as statements:
        async with transaction(database) as session:
            advances = await keep_all(session, events=events)
    assert [one.split()[0] for one in statements] == ["SELECT", "INSERT", "UPDATE"]
    assert {one.workspace_id: one.head for one in advances} == {world.id: 21, other.id: 12}
    assert (await stored(world), await stored(other)) == (list(range(1, 22)), list(range(1, 13)))


async def test_consumers_of_one_workspace_at_once_leave_no_gap(database, world, head, stored):
    events = world.tasks(40)
    random.Random(7).shuffle(events)

    async def take(share):
        for event in share:
            async with transaction(database) as session:
                await keep(session, event)

    await asyncio.gather(*(take(events[offset::4]) for offset in range(4)))
    assert await head(world) == 40
    assert await stored(world) == list(range(1, 41))


async def purge(database, replay_days=30):
    (job,) = (job for job in jobs(replay_days) if job.name == "purge-replay-store")
    async with transaction(database) as session:
        await job.run(session)


async def test_purge_forgets_what_is_older_than_the_setting(feed, database, world, team, stored):
    events = world.tasks(3)
    ages = [timedelta(days=8), timedelta(days=7, minutes=1), timedelta(days=6, hours=23)]
    aged = [event.model_copy(update={"occurred_at": utcnow() - age}) for event, age in zip(events, ages, strict=True)]
    await feed.keep(*aged)
    await purge(database, replay_days=30)
    assert await stored(world) == [1, 2, 3, 4, 5]
    await purge(database, replay_days=7)
    assert await stored(world) == [1, 2, 5]


def test_the_jobs_and_how_often_they_run():
    assert {job.name: job.seconds for job in jobs(30)} == {
        "make-digests": 60.0,
        **{
            f"purge-{name}": 3600.0
            for name in (
                "replay-store",
                "inbox",
                "outbox",
                "idempotency-keys",
                "mails",
                "webhooks",
                "chats",
                "digests",
                "notifications",
                "deliveries",
                "recorded-messages",
            )
        },
    }


async def test_purge_forgets_a_thousand_events_at_a_time(feed, database, world, team, stored, rows):
    await feed.keep(*world.tasks(2))
    await run_to_end(database, jobs(30), "purge-replay-store")
    await rows(
        "INSERT INTO notifications.stream_event (workspace_id, seq, type, audience, frame, occurred_at) "
        "SELECT :w, n, 'task.created.v1', '{}', '{}', now() - interval '31 d' FROM generate_series(5, 1504) n",
        w=world.id,
    )
    head = "UPDATE notifications.stream_head SET contiguous_seq = :seq WHERE workspace_id = :w"
    await rows(head, seq=1500, w=world.id)
    assert await run_to_end(database, jobs(30), "purge-replay-store") == 2
    assert await stored(world) == [1, 2, 3, 4, *range(1501, 1505)]


async def test_purge_forgets_what_is_oldest_first(feed, database, world, team, stored, rows):
    """Or a deletion for good might go before what it hides."""
    await run_to_end(database, jobs(30), "purge-replay-store")
    await rows(
        "INSERT INTO notifications.stream_event (workspace_id, seq, type, audience, frame, occurred_at) "
        "SELECT :w, n, 'task.created.v1', '{}', '{}', now() - interval '31 d' + n / 100 * interval '1 s'"
        " FROM generate_series(3, 1502) n ORDER BY n DESC",
        w=world.id,
    )
    await rows("UPDATE notifications.stream_head SET contiguous_seq = 1502 WHERE workspace_id = :w", w=world.id)
    await purge(database)
    assert await stored(world) == [1, 2, *range(1003, 1503)]


async def test_r48_events_that_came_in_are_known_for_fourteen_days(database, rows):
    await rows("DELETE FROM notifications.inbox")
    await rows(
        "INSERT INTO notifications.inbox (consumer, event_id, received_at) "
        "SELECT 'a consumer', gen_random_uuid(), now() - make_interval(days => n) FROM generate_series(12, 15) n"
    )
    assert await run_to_end(database, jobs(30), "purge-inbox") == 1
    assert await rows("SELECT count(*) FROM notifications.inbox") == [(2,)]


async def test_purge_keeps_what_readers_have_not_been_able_to_see(feed, database, world, team, service, head):
    """An event that waits for one before it would be missing for good, and hold its workspace back with it."""
    ann, _ = team
    missing, old = (event.model_copy(update={"occurred_at": utcnow() - timedelta(days=31)}) for event in world.tasks(2))
    async with service.reading(ann) as reader:
        await feed.keep(old)
        await purge(database)
        await feed.keep(missing)
        assert [frame["seq"] for frame in await reader.frames(2)] == [3, 4]
    assert await head(world) == 4


async def test_an_event_that_comes_again_after_the_purge_stays_away(feed, database, world, team, stored, head):
    old = world.task().model_copy(update={"occurred_at": utcnow() - timedelta(days=31)})
    await feed.keep(old, world.task())
    await purge(database)
    async with transaction(database) as session:
        assert await keep(session, old) is None
    assert await stored(world) == [1, 2, 4]
    assert await head(world) == 4


@pytest.fixture(params=["streams", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
async def transport(request):
    space = f"t{uuid7().hex}"
    if request.param == "streams":
        found = StreamsTransport(request.getfixturevalue("valkey_url"), prefix=space)
    else:
        found = RabbitTransport(request.getfixturevalue("rabbitmq_url"), exchange=space)
    yield found
    await found.close()


@pytest.fixture
async def consumer_of(database, valkey_url):
    """Runs the service's consumer on a transport until the end of the test."""
    stop, running = asyncio.Event(), []
    server = Redis.from_url(valkey_url)

    async def run(transport):
        one = live_consumer(server)
        await transport.declare(one.queue)
        running.append(asyncio.create_task(ConsumerRunner(database, table_of(Inbox), transport, one).run(stop)))

    yield run
    stop.set()
    await asyncio.gather(*running)
    await server.aclose()


async def test_r49_poison_goes_to_the_dead_letters_and_the_rest_goes_on(
    transport, consumer_of, world, rows, head, database
):
    await consumer_of(transport)
    dead_before = await transport.dead(QUEUE)
    broken = world.task()
    del broken.data["audience"]
    healthy = type(world)()
    user = uuid7()
    events = [broken, healthy.joins(user), *healthy.tasks(2)]
    no_event = Message(str(uuid7()), "task.created.v1", "k", b'{"specversion": "0.3"}')
    messages = [Message(str(one.event_id), one.type, str(one.stream_id), one.to_json()) for one in events]
    assert await transport.publish([no_event, *messages]) == [None] * 5

    async def settled():
        return await head(healthy) == 3 and await transport.dead(QUEUE) == dead_before + 2

    await eventually(settled)
    assert await head(world) is None
    assert await rows("SELECT 1 FROM notifications.inbox WHERE event_id = :e", e=broken.event_id) == []


async def test_every_example_of_the_producer_is_understood(transport, consumer_of, clean, rows):
    paths = [path for path in sorted(CONTRACTS.glob("*.example.json")) if not path.name.startswith("invitation_mail")]
    examples = [json.loads(path.read_bytes()) for path in paths]
    assert len(examples) >= 6
    for seq, example in enumerate(examples, 1):
        example["id"], example["sequence"] = str(uuid7()), seq
        example["partitionkey"] = example["data"]["workspace_id"] = examples[0]["partitionkey"]
        if example["data"]["entity_type"] == "member":
            example["data"]["resource"]["workspace_id"] = examples[0]["partitionkey"]
    await consumer_of(transport)
    messages = [Message(one["id"], one["type"], one["partitionkey"], json.dumps(one).encode()) for one in examples]
    assert await transport.publish(messages) == [None] * len(examples)

    async def whole():
        return await rows("SELECT contiguous_seq FROM notifications.stream_head") == [(len(examples),)]

    await eventually(whole)
    kept = await rows("SELECT type, frame FROM notifications.stream_event ORDER BY seq")
    for (event_type, frame), example in zip(kept, examples, strict=True):
        data = example["data"]
        assert event_type == example["type"]
        gone = [word for word in ("deleted", "purged") if event_type.split(".")[1] == word]
        assert frame == {
            "seq": example["sequence"],
            "type": event_type.removesuffix(".v1"),
            "event_id": example["id"],
            "workspace_id": data["workspace_id"],
            "project_id": data["project_id"],
            "task_id": data["task_id"],
            "subject": data["entity_id"],
            "version": data["version"],
            "changes": data["changes"],
            "actor": data["actor"],
            "data": data["resource"],
            "occurred_at": example["time"],
            "origin_request_id": data["request_id"],
            **({"removed": {"reason": gone[0]}} if gone else {}),
        }
    assert await rows("SELECT user_id::text, joined_seq, removed FROM notifications.membership") == [
        ("0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03", 1, False)
    ]


async def membership(rows, world, user):
    query = (
        "SELECT joined_seq, changed_seq, removed FROM notifications.membership WHERE workspace_id = :w AND user_id = :u"
    )
    return await rows(query, w=world.id, u=user)


async def test_r48_an_older_state_of_a_membership_never_wins(feed, world, rows):
    user = uuid7()
    added, removed, again = world.joins(user), world.leaves(user), world.joins(user)
    await feed.keep(removed)
    await feed.keep(added)
    assert await membership(rows, world, user) == [(1, 2, True)]
    await feed.keep(again)
    assert await membership(rows, world, user) == [(3, 3, False)]
    await feed.keep(removed.model_copy(update={"event_id": uuid7()}))
    assert await membership(rows, world, user) == [(3, 3, False)]


async def test_the_consumers_lines_have_the_request_and_the_trace_of_the_event(feed, world, lines):
    """One of an event that was kept, and those of one that PostgreSQL refuses."""
    kept = world.task().model_copy(update={"traceparent": f"00-{'a1' * 16}-{'b2' * 8}-01"})
    refused = world.task().model_copy(update={"traceparent": f"00-{'c3' * 16}-{'d4' * 8}-01"})
    refused.data["resource"]["title"] = "no \0 in the database"
    async with lines() as caught:
        await feed.put(kept, refused)

        async def both():
            mine = [line for line in caught if line.get("request_id") in ("request-1", "request-2")]
            return mine if {line["event"] for line in mine} == {"message.settled", "message.failed"} else None

        mine = {line["event"]: line for line in await eventually(both)}
    settled, failed = mine["message.settled"], mine["message.failed"]
    assert (settled["request_id"], settled["trace_id"], settled["queue"]) == ("request-1", "a1" * 16, QUEUE)
    assert (settled["type"], settled["event_id"]) == ("task.created.v1", str(kept.event_id))
    assert (failed["request_id"], failed["trace_id"], failed["queue"]) == ("request-2", "c3" * 16, QUEUE)
    assert failed["event_id"] == str(refused.event_id)


async def test_k7_of_files_only_what_is_in_the_change_log_is_taken_in(feed, world, team, head, stored):
    """The attachments service tells of them first; were that taken for the same event, the log would have a gap."""
    file = {"id": str(uuid7()), "task_id": str(uuid7()), "name": "plan.pdf"}
    logged = world.event("attachment.created.v1", entity_type="attachment", resource=file, task_id=file["task_id"])
    first = logged.model_copy(update={"source": "/taskloom/attachments", "stream_id": uuid7(), "sequence": 1})
    await feed.keep(first, logged, first)
    assert await stored(world) == [1, 2, 3]
    assert await head(world) == 3


@pytest.mark.parametrize(("verb", "reason"), [("deleted", "deleted"), ("purged", "purged"), ("updated", None)])
async def test_j4_what_is_gone_is_told_as_removed(service, world, feed, team, verb, reason):
    ann, _ = team
    async with service.reading(ann) as reader:
        await feed.keep(world.task(event_type=f"task.{verb}.v1"))
        [frame] = await reader.frames(1)
    assert frame.get("removed") == (reason and {"reason": reason})
    assert frame["data"]["title"] == "Buy milk"

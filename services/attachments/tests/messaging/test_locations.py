"""The projection of tasks and memberships, from the broker to the decision (R46, R48)."""

import asyncio
from pathlib import Path

import pytest
from attachments_service.db import Inbox
from attachments_service.locations import repository
from attachments_service.locations.consumers import on_change
from attachments_service.relay import OUTBOX
from chassis.broker.consumer import ConsumerRunner, consumer
from chassis.broker.port import Message, Queue
from chassis.broker.relay import OutboxRelay
from chassis.broker.streams import StreamsTransport
from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from chassis.outbox.envelope import EventEnvelope
from sqlalchemy import select, text
from testkit.waiting import eventually

CONTRACTS = Path(__file__).parents[4] / "contracts" / "events" / "tasks"
LOCATIONS = Queue("attachments.locations", ("task.*.v1", "member.*.v1"))


@pytest.fixture
async def transport(valkey_url):
    found = StreamsTransport(valkey_url, prefix=f"t{uuid7().hex}")
    yield found
    await found.close()


@pytest.fixture
async def background():
    """Runs works until the end of the test."""
    stop = asyncio.Event()
    running: list[asyncio.Task[None]] = []
    yield lambda *works: running.extend(asyncio.ensure_future(work(stop)) for work in works)
    stop.set()
    await asyncio.gather(*running)


@pytest.fixture
async def worker(database, transport, background):
    await transport.declare(LOCATIONS)
    background(ConsumerRunner(database, table_of(Inbox), transport, on_change).run)


def event(event_type, *, sequence, workspace_id, data, event_id=None):
    return EventEnvelope(
        event_id=event_id or uuid7(),
        type=event_type,
        source="/taskloom/tasks",
        subject=data["entity_id"],
        occurred_at=utcnow(),
        stream_id=workspace_id,
        sequence=sequence,
        data={"changes": [], "audience": [], "request_id": "r", "workspace_id": str(workspace_id), **data},
    )


def task_event(world, event_type, sequence, **more):
    data = {"entity_type": "task", "entity_id": str(world.task_id), "resource": {"title": "x"}}
    data["project_id"] = str(world.project_id)
    return event(event_type, sequence=sequence, workspace_id=world.workspace_id, data=data, **more)


def member_event(world, event_type, sequence, person, role, **more):
    resource = {
        "workspace_id": str(world.workspace_id),
        "user_id": str(world.people[person]),
        "role": role,
        "joined_seq": 1,
    }
    data = {"entity_type": "member", "entity_id": str(uuid7()), "resource": resource}
    return event(event_type, sequence=sequence, workspace_id=world.workspace_id, data=data, **more)


@pytest.fixture
def send(transport):
    async def send(*events):
        messages = [Message(str(one.event_id), one.type, str(one.stream_id), one.to_json()) for one in events]
        assert await transport.publish(messages) == [None] * len(events)

    return send


async def state(database, world):
    async with database.reader.connect() as reader:
        place = (await reader.execute(select(repository.location.c.changed_seq, repository.location.c.deleted))).all()
        members = (
            await reader.execute(
                select(
                    repository.membership.c.role, repository.membership.c.changed_seq, repository.membership.c.removed
                )
            )
        ).all()
    return [tuple(row) for row in place], [tuple(row) for row in members]


async def taken_in(database):
    async with database.reader.connect() as reader:
        return (await reader.execute(text("SELECT count(*) FROM attachments.inbox"))).scalar_one()


async def when_taken_in(database, count):
    async def reached():
        return await taken_in(database) >= count

    await eventually(reached)


async def test_events_feed_the_projection_and_then_nobody_is_asked(
    api, unknown_world, database, worker, send, tasks_api
):
    world = unknown_world
    tasks_api.worlds.clear()
    await send(
        member_event(world, "member.added.v1", 1, "member", "member"),
        member_event(world, "member.added.v1", 2, "guest", "guest"),
        task_event(world, "task.created.v1", 3),
    )
    await when_taken_in(database, 3)
    assert (await api.get(world.path, headers=world.headers("guest"))).status_code == 200
    created = await api.post(world.path, files={"file": ("a", b"x")}, headers=world.headers("member"))
    assert created.status_code == 201
    in_project = world.gateway.token_headers(world.people["guest"], "tasks:read", project_ids=[world.project_id])
    assert (await api.get(world.path, headers=in_project)).status_code == 200
    assert tasks_api.calls == []
    await send(member_event(world, "member.removed.v1", 4, "guest", "guest"))
    await when_taken_in(database, 4)
    assert (await api.get(world.path, headers=world.headers("guest"))).status_code == 404
    await send(task_event(world, "task.deleted.v1", 5))
    await when_taken_in(database, 5)
    for path in (world.path, created.headers["location"], f"{created.headers['location']}/content"):
        assert (await api.get(path, headers=world.headers("member"))).status_code == 404


async def test_r48_an_older_event_changes_nothing(unknown_world, database, worker, send):
    world = unknown_world
    await send(
        task_event(world, "task.deleted.v1", 9),
        member_event(world, "member.removed.v1", 8, "member", "member"),
    )
    await when_taken_in(database, 2)
    await send(
        task_event(world, "task.created.v1", 3),
        task_event(world, "task.updated.v1", 9),
        member_event(world, "member.added.v1", 2, "member", "admin"),
    )
    await when_taken_in(database, 5)
    assert await state(database, world) == ([(9, True)], [("member", 8, True)])
    await send(
        task_event(world, "task.restored.v1", 10),
        member_event(world, "member.added.v1", 11, "member", "guest"),
    )
    await when_taken_in(database, 7)
    assert await state(database, world) == ([(10, False)], [("guest", 11, False)])


async def test_r48_a_duplicate_has_one_effect(unknown_world, database, worker, send):
    world = unknown_world
    one = task_event(world, "task.created.v1", 3)
    await send(one, one, task_event(world, "task.updated.v1", 4), one)
    await when_taken_in(database, 2)
    last = member_event(world, "member.added.v1", 5, "member", "member")
    await send(last)
    await when_taken_in(database, 3)
    assert await taken_in(database) == 3
    assert await state(database, world) == ([(4, False)], [("member", 5, False)])


async def test_r49_an_event_that_makes_no_sense_goes_to_the_dead_letters(
    unknown_world, database, worker, send, transport
):
    world = unknown_world
    data = {"entity_type": "task", "entity_id": str(uuid7()), "workspace_id": "not an id"}
    await send(
        event("task.created.v1", sequence=1, workspace_id=world.workspace_id, data=data),
        task_event(world, "task.created.v1", 2),
    )
    await when_taken_in(database, 1)

    async def dead():
        return await transport.dead(LOCATIONS.name)

    assert await eventually(dead) == 1
    assert (await state(database, world))[0] == [(2, False)]


async def test_r45_attachments_are_told_of_in_order(api, world, attach, database, transport, background, published):
    heard: list[EventEnvelope] = []

    @consumer(queue="test.attachments", types=["attachment.*.v1"])
    async def on_attachment(envelope, session):
        heard.append(envelope)

    await transport.declare(on_attachment.queue)
    background(
        ConsumerRunner(database, table_of(Inbox), transport, on_attachment).run,
        OutboxRelay(database, OUTBOX, transport).run,
    )
    data = await attach()
    await api.delete(f"/api/v1/attachments/{data['id']}", headers=world.headers("owner"))

    async def both():
        return len(heard) == 2

    await eventually(both)
    assert [(one.type, one.sequence, str(one.stream_id)) for one in heard] == [
        ("attachment.created.v1", 1, data["id"]),
        ("attachment.deleted.v1", 2, data["id"]),
    ]
    assert heard[0].source == "/taskloom/attachments"
    assert heard[1].data["actor"]["id"] == str(world.people["owner"])

    async def sent():
        return [row.state for row in await published()] == ["sent", "sent"]

    assert await eventually(sent)


@pytest.mark.parametrize("event_type", ["task.created.v1", "task.updated.v1", "task.deleted.v1", "member.added.v1"])
async def test_the_producer_s_examples_are_understood(event_type, database):
    envelope = EventEnvelope.from_json((CONTRACTS / f"{event_type}.example.json").read_bytes())
    async with transaction(database) as session:
        await on_change.handle(envelope, session)
        table = repository.membership if event_type.startswith("member.") else repository.location
        row = (await session.execute(select(table.c.workspace_id, table.c.changed_seq))).one()
    assert (str(row.workspace_id), row.changed_seq) == (envelope.data["workspace_id"], envelope.sequence)

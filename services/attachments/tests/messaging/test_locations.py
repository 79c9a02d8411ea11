"""The projection of tasks and memberships, from the broker to the decision (R46, R48)."""

import asyncio
import random
from pathlib import Path

import pytest
from attachments_service.attachments.consumers import on_task_purged
from attachments_service.db import Inbox
from attachments_service.locations import repository
from attachments_service.locations.consumers import on_change
from attachments_service.locations.policies import role_in_task
from attachments_service.locations.schemas import Standing
from attachments_service.relay import OUTBOX
from chassis.broker.consumer import ConsumerRunner, consumer
from chassis.broker.port import Message
from chassis.broker.relay import OutboxRelay
from chassis.broker.streams import StreamsTransport
from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from chassis.outbox.envelope import EventEnvelope
from sqlalchemy import select, text
from testkit.statements import statements_seen
from testkit.waiting import eventually

CONTRACTS = Path(__file__).parents[4] / "contracts" / "events" / "tasks"
LOCATIONS = on_change.queue


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


def moved_event(world, sequence, project_id, deleted_at=None):
    """The task went to another project, with the task that it is below if it is in the trash."""
    data = {"entity_type": "task", "entity_id": str(world.task_id), "project_id": str(project_id)}
    data["resource"] = {"title": "x", "deleted_at": deleted_at}
    return event("task.moved.v1", sequence=sequence, workspace_id=world.workspace_id, data=data)


def member_event(world, event_type, sequence, person, role, joined=1, **more):
    resource = {
        "workspace_id": str(world.workspace_id),
        "user_id": str(world.people[person]),
        "role": role,
        "joined_seq": joined,
    }
    data = {"entity_type": "member", "entity_id": str(uuid7()), "resource": resource}
    return event(event_type, sequence=sequence, workspace_id=world.workspace_id, data=data, **more)


def project_event(world, event_type, sequence, **state):
    resource = {"id": str(world.project_id), "workspace_id": str(world.workspace_id), **state}
    data = {"entity_type": "project", "entity_id": str(world.project_id), "resource": resource}
    return event(event_type, sequence=sequence, workspace_id=world.workspace_id, data=data)


def role_event(world, event_type, sequence, person, role="viewer"):
    resource = {"project_id": str(world.project_id), "user_id": str(world.people[person]), "role": role}
    data = {"entity_type": "project_member", "entity_id": str(uuid7()), "resource": resource}
    return event(event_type, sequence=sequence, workspace_id=world.workspace_id, data=data)


def share_event(world, event_type, sequence, person, role="viewer"):
    resource = {"task_id": str(world.task_id), "user_id": str(world.people[person]), "role": role}
    data = {"entity_type": "task_share", "entity_id": str(uuid7()), "resource": resource}
    return event(event_type, sequence=sequence, workspace_id=world.workspace_id, data=data)


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


async def place(database):
    async with database.reader.connect() as reader:
        found = await reader.execute(select(repository.location.c.project_id, repository.location.c.deleted))
        return [tuple(row) for row in found]


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
        project_event(world, "project.created.v1", 3),
        role_event(world, "project_member.added.v1", 4, "guest"),
        task_event(world, "task.created.v1", 5),
    )
    await when_taken_in(database, 5)
    assert (await api.get(world.path, headers=world.headers("guest"))).status_code == 200
    created = await api.post(world.path, files={"file": ("a", b"x")}, headers=world.headers("member"))
    assert created.status_code == 201
    in_project = world.gateway.token_headers(world.people["guest"], "tasks:read", project_ids=[world.project_id])
    assert (await api.get(world.path, headers=in_project)).status_code == 200
    assert tasks_api.calls == []
    await send(member_event(world, "member.removed.v1", 6, "guest", "guest"))
    await when_taken_in(database, 6)
    assert (await api.get(world.path, headers=world.headers("guest"))).status_code == 404
    await send(task_event(world, "task.deleted.v1", 7))
    await when_taken_in(database, 7)
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


async def test_b14_files_follow_their_task_to_another_project(unknown_world, database, worker, send):
    world, there = unknown_world, uuid7()
    await send(task_event(world, "task.created.v1", 3), moved_event(world, 4, there))
    await when_taken_in(database, 2)
    assert await place(database) == [(there, False)]
    await send(task_event(world, "task.deleted.v1", 5), moved_event(world, 6, there, deleted_at="2026-11-25T10:00:00Z"))
    await when_taken_in(database, 4)
    assert await place(database) == [(there, True)]


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


async def statuses(api, world, *people):
    """Return what each gets who asks for the files of the task; the tasks service knows of nothing."""
    return [(await api.get(world.path, headers=world.headers(person))).status_code for person in people]


async def test_f6_files_of_a_private_project_are_for_those_with_a_role(
    api, world, attach, database, worker, send, tasks_api
):
    tasks_api.worlds.clear()
    everybody = ("owner", "admin", "member", "colleague", "guest")
    assert await statuses(api, world, *everybody) == [200] * 5
    await send(project_event(world, "project.updated.v1", 20, visibility="private"))
    await when_taken_in(database, 1)
    assert await statuses(api, world, *everybody) == [200, 200, 404, 404, 200]
    await send(role_event(world, "project_member.added.v1", 21, "member", "commenter"))
    await when_taken_in(database, 2)
    assert await statuses(api, world, *everybody) == [200, 200, 200, 404, 200]
    refused = await api.post(world.path, files={"file": ("a", b"x")}, headers=world.headers("member"))
    assert refused.status_code == 403
    await send(
        role_event(world, "project_member.removed.v1", 22, "member", "commenter"),
        role_event(world, "project_member.removed.v1", 23, "guest"),
        share_event(world, "task_share.added.v1", 24, "colleague", "editor"),
    )
    await when_taken_in(database, 5)
    assert await statuses(api, world, *everybody) == [200, 200, 404, 200, 404]
    assert (await attach(by="colleague"))["created_by"] == str(world.people["colleague"])
    await send(share_event(world, "task_share.removed.v1", 25, "colleague", "editor"))
    await when_taken_in(database, 6)
    assert await statuses(api, world, *everybody) == [200, 200, 404, 404, 404]


async def test_f6_who_comes_back_has_nothing_of_what_they_were_given_before(
    api, world, database, worker, send, tasks_api
):
    tasks_api.worlds.clear()
    await send(
        project_event(world, "project.updated.v1", 20, visibility="private"),
        role_event(world, "project_member.added.v1", 21, "member"),
        share_event(world, "task_share.added.v1", 22, "colleague"),
    )
    await when_taken_in(database, 3)
    assert await statuses(api, world, "member", "colleague") == [200, 200]
    for at, person in ((23, "member"), (25, "colleague")):
        await send(member_event(world, "member.removed.v1", at, person, "member"))
        await send(member_event(world, "member.added.v1", at + 1, person, "guest", joined=at + 1))
    await when_taken_in(database, 7)
    assert await statuses(api, world, "member", "colleague") == [404, 404]
    await send(role_event(world, "project_member.added.v1", 27, "member"))
    await when_taken_in(database, 8)
    assert await statuses(api, world, "member", "colleague") == [200, 404]


async def test_b14_a_task_that_moves_is_seen_as_its_new_project_is(api, world, database, worker, send, tasks_api):
    tasks_api.worlds.clear()
    there = type(world)(world.gateway, workspace_id=world.workspace_id, task_id=world.task_id)
    await send(
        project_event(there, "project.created.v1", 20, visibility="private"),
        task_event(there, "task.moved.v1", 21),
    )
    await when_taken_in(database, 2)
    assert await statuses(api, world, "owner", "member", "guest") == [200, 404, 404]


async def test_c2_files_of_archived_projects_stay_as_they_are(api, world, attach, database, worker, send, row_count):
    file = await attach()
    await send(project_event(world, "project.updated.v1", 20, archived_at="2026-11-26T09:00:00Z"))
    await when_taken_in(database, 1)
    upload = await api.post(world.path, files={"file": ("a", b"x")}, headers=world.headers("owner"))
    removal = await api.delete(f"/api/v1/attachments/{file['id']}", headers=world.headers("owner"))
    for answer in (upload, removal):
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "PROJECT_ARCHIVED")
    assert await statuses(api, world, "guest") == [200]
    assert await row_count() == 1


async def test_c2_files_of_projects_in_the_trash_are_not_seen(api, world, database, worker, send, tasks_api):
    tasks_api.worlds.clear()
    await send(project_event(world, "project.deleted.v1", 20, deleted_at="2026-11-26T09:00:00Z"))
    await when_taken_in(database, 1)
    assert await statuses(api, world, "owner", "guest") == [404, 404]
    await send(project_event(world, "project.restored.v1", 21))
    await when_taken_in(database, 2)
    assert await statuses(api, world, "owner", "guest") == [200, 200]


async def test_b13_the_files_of_a_purged_task_go_with_it(
    api, world, attach, database, transport, background, send, row_count, published
):
    await transport.declare(on_task_purged.queue)
    background(ConsumerRunner(database, table_of(Inbox), transport, on_task_purged).run)
    files = [await attach(name=f"{number}.txt") for number in range(2)]
    purged = task_event(world, "task.purged.v1", 20)
    actor = {"type": "user", "id": str(world.people["owner"]), "via": "session"}
    audience = [str(world.people["owner"])]
    await send(purged.model_copy(update={"data": {**purged.data, "actor": actor, "audience": audience}}))
    await when_taken_in(database, 1)
    assert await row_count() == 0
    gone = [row for row in await published() if row.type == "attachment.deleted.v1"]
    assert sorted(str(row.subject) for row in gone) == sorted(file["id"] for file in files)
    assert [(row.data["actor"], row.data["audience"]) for row in gone] == [(actor, audience)] * 2


async def test_who_hears_of_a_file_is_who_sees_its_task(api, world, attach, database, worker, send, published):
    await send(
        project_event(world, "project.updated.v1", 20, visibility="private"),
        share_event(world, "task_share.added.v1", 21, "colleague"),
        role_event(world, "project_member.removed.v1", 22, "guest"),
    )
    await when_taken_in(database, 3)
    await attach(by="owner")
    (row,) = await published()
    assert row.data["audience"] == sorted(str(world.people[one]) for one in ("owner", "admin", "colleague"))


@pytest.mark.parametrize("workspace_role", ["owner", "admin", "member", "guest"])
@pytest.mark.parametrize("is_private", [True, False])
@pytest.mark.parametrize("project_role", [None, "viewer", "manager"])
@pytest.mark.parametrize("share_role", [None, "commenter"])
def test_n2_the_role_in_a_task_is_the_highest_that_is_given(workspace_role, is_private, project_role, share_role):
    found = role_in_task(Standing(workspace_role, is_private, "editor", project_role, share_role))
    given = {project_role, share_role, "editor" if workspace_role == "member" and not is_private else None}
    ladder = ["manager", "editor", "commenter", "viewer"]
    expected = next((role for role in ladder if role in given), None)
    assert found == ("manager" if workspace_role in {"owner", "admin"} else expected)


async def test_many_changes_are_taken_in_at_once_whatever_order_they_come_in(world, database):
    """Of each task the last one counts, and twenty tasks cost a statement as one does."""
    ids = [uuid7() for _ in range(20)]
    events = [
        event(
            "task.deleted.v1" if sequence == 3 and number % 2 else "task.updated.v1",
            sequence=sequence,
            workspace_id=world.workspace_id,
            data={"entity_type": "task", "entity_id": str(task_id), "project_id": str(world.project_id)},
        )
        for sequence in (2, 3, 1)
        for number, task_id in enumerate(ids)
    ]
    events.insert(7, member_event(world, "member.added.v1", 9, "owner", "owner"))
    random.Random(6).shuffle(events)
    with statements_seen(database.writer) as statements:
        async with transaction(database) as session:
            await on_change.handle_all(events, session)
    assert len(statements) == 2
    async with database.reader.connect() as reader:
        table = repository.location.c
        found = await reader.execute(select(table.task_id, table.changed_seq, table.deleted).order_by(table.task_id))
        found = {row[0]: tuple(row[1:]) for row in found}
    assert {one: found[one] for one in ids} == {one: (3, bool(number % 2)) for number, one in enumerate(ids)}


async def test_one_change_that_is_none_keeps_no_other_one_back(world, database, transport, worker, send):
    right, wrong = (task_event(world, "task.updated.v1", sequence) for sequence in (13, 14))
    wrong.data["project_id"] = "no id"
    await send(right, wrong, member_event(world, "member.added.v1", 12, "owner", "admin"))

    async def is_done():
        return await transport.dead(LOCATIONS.name) == 1 and await taken_in(database) == 2

    await eventually(is_done)
    tasks, members = await state(database, world)
    assert tasks == [(13, False)]
    assert ("admin", 12, False) in members


@pytest.mark.parametrize("event_type", ["task.created.v1", "task.updated.v1", "task.deleted.v1", "member.added.v1"])
async def test_the_producer_s_examples_are_understood(event_type, database):
    envelope = EventEnvelope.from_json((CONTRACTS / f"{event_type}.example.json").read_bytes())
    async with transaction(database) as session:
        await on_change.handle(envelope, session)
        table = repository.membership if event_type.startswith("member.") else repository.location
        row = (await session.execute(select(table.c.workspace_id, table.c.changed_seq))).one()
    assert (str(row.workspace_id), row.changed_seq) == (envelope.data["workspace_id"], envelope.sequence)

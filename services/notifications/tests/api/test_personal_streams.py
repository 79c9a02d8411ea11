"""What one user alone is told (J1, R55): a stream of its own, over the same sockets, cursors and store."""

import asyncio
import random
from datetime import timedelta

import pytest
from chassis.broker.relay import OutboxRelay
from chassis.broker.streams import StreamsTransport
from chassis.clock import utcnow
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from notifications_service.live.schemas import PersonalEvent
from notifications_service.live.service import lock_streams, tell_user
from notifications_service.relay import OUTBOX
from notifications_service.scheduler import jobs
from testkit.jobs import run_to_end
from testkit.waiting import eventually

OUT = "SELECT type, sequence, stream_id, data FROM notifications.outbox WHERE stream_id = :u ORDER BY sequence"


def texts(frames):
    return [frame["data"]["text"] for frame in frames]


async def test_r55_a_user_is_told_what_is_its_alone(service, world, team, tell, signer, rows):
    ann, bob = team
    async with service.reading(ann) as reader, service.reading(ann) as again, service.reading(bob) as other:
        assert await tell(ann, "one", "two") == 2
        first, second = await reader.frames(2)
        assert await again.frames(2) == [first, second]
        assert await other.is_idle()
    assert second == {
        "seq": 2,
        "cursor": second["cursor"],
        "type": "notification.created",
        "event_id": second["event_id"],
        "workspace_id": None,
        "project_id": None,
        "task_id": None,
        "subject": second["subject"],
        "version": 1,
        "changes": [],
        "actor": None,
        "data": {"text": "two"},
        "occurred_at": second["occurred_at"],
        "origin_request_id": second["origin_request_id"],
    }
    assert [signer.read_position(one["cursor"])[ann] for one in (first, second)] == [1, 2]
    assert signer.read_position(second["cursor"])[world.id] == 2
    (_, last) = await rows(OUT, u=ann)
    assert last[:3] == ("notification.created.v1", 2, ann)
    assert (last[3]["audience"], last[3]["resource"]) == ([str(ann)], {"text": "two"})


async def test_j3_a_stream_of_ones_own_is_resumed_from_every_cursor(service, tell, signer):
    user = uuid7()
    await tell(user, "before")
    reader = await service.open(user)
    cursors = [await reader.ready()]
    assert signer.read_position(cursors[0]) == {user: 1}
    await tell(user, *(str(number) for number in range(8)))
    frames = await reader.frames(8)
    await reader.socket.close()
    cursors += [frame["cursor"] for frame in frames]
    for start, cursor in enumerate(cursors):
        async with service.reading(user, cursor) as again:
            assert await again.frames(8 - start) == frames[start:]
            assert await again.is_idle()


async def test_a_cursor_without_the_own_stream_begins_there_at_the_present(service, world, team, feed, tell, signer):
    ann, _ = team
    await tell(ann, "long past")
    await feed.keep(world.task("missed"))
    async with service.reading(ann, signer.position({world.id: 2})) as reader:
        assert (await reader.frame())["data"]["title"] == "missed"
        await tell(ann, "now")
        frame = await reader.frame()
        assert (frame["seq"], texts([frame])) == (2, ["now"])
        assert await reader.is_idle()


async def test_what_is_rolled_back_was_never_told(service, database, tell, rows):
    user = uuid7()
    async with service.reading(user) as reader:
        with pytest.raises(ZeroDivisionError):
            async with transaction(database) as session:
                draft = PersonalEvent(type="notification.created.v1", entity_type="n", subject=uuid7(), resource={})
                assert await tell_user(session, user_id=user, drafts=[draft]) == 1
                raise ZeroDivisionError
        await tell(user, "told")
        frame = await reader.frame()
        assert (frame["seq"], texts([frame])) == (1, ["told"])
    assert len(await rows(OUT, u=user)) == 1


async def test_r55_fifty_at_once_have_numbers_without_gaps(service, tell, database):
    """Half of them tell both users in one transaction, in either order."""
    ann, bob = uuid7(), uuid7()

    async def tell_both(number):
        users = [ann, bob]
        random.Random(number).shuffle(users)
        async with transaction(database) as session:
            await lock_streams(session, user_ids=users)
            for user in users:
                draft = PersonalEvent(type="notification.created.v1", entity_type="n", subject=uuid7(), resource={})
                await tell_user(session, user_id=user, drafts=[draft])

    async with service.reading(ann) as of_ann, service.reading(bob) as of_bob:
        await asyncio.gather(*(tell_both(n) if n % 2 else tell(ann, f"{n}") for n in range(50)))
        assert [frame["seq"] for frame in await of_ann.frames(50)] == list(range(1, 51))
        assert [frame["seq"] for frame in await of_bob.frames(25)] == list(range(1, 26))
        assert await of_ann.is_idle()


async def test_r55_new_streams_are_begun_by_many_at_once_and_nobody_waits_in_a_ring(database):
    """Each wants some of those that others make at that moment."""
    for _ in range(20):
        users = sorted(uuid7() for _ in range(3))

        async def begin(*wanted):
            async with transaction(database) as session:
                assert (await lock_streams(session, user_ids=wanted)).keys() == set(wanted)

        await asyncio.gather(*(begin(*wanted) for one in users for wanted in ([one], users, users[::-1])))


async def test_j3_what_is_forgotten_ends_with_4410(service, database, tell, signer, rows):
    user = uuid7()
    await tell(user, "old", "new")
    aged = "UPDATE notifications.stream_event SET occurred_at = :at WHERE workspace_id = :u AND seq = 1"
    await rows(aged, at=utcnow() - timedelta(days=31), u=user)
    await run_to_end(database, jobs(30), "purge-replay-store")
    reader = await service.open(user, signer.position({user: 0}))
    await reader.ready()
    assert (await reader.closed())[0] == 4410
    async with service.reading(user, signer.position({user: 1})) as reader:
        assert texts(await reader.frames(1)) == ["new"]


async def test_j1_any_replica_is_told_by_the_commit(start, tell, own_valkey):
    """Whoever commits it, and without Redis: by what the database says."""
    user = uuid7()
    async with (
        start(redis_url=own_valkey.url) as one,
        start(redis_url=own_valkey.url) as two,
        one.reading(user) as first,
        two.reading(user) as second,
    ):
        await tell(user, "hello")
        assert texts([await first.frame(), await second.frame()]) == ["hello"] * 2


@pytest.mark.parametrize("said", ["", "nonsense", "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11", "x 1"])
async def test_what_is_said_without_a_place_makes_nobody_deaf(service, tell, rows, said):
    user = uuid7()
    async with service.reading(user) as reader:
        await rows("SELECT pg_notify('notifications_stream', :said)", said=said)
        await tell(user, "after")
        assert texts([await reader.frame()]) == ["after"]


async def test_a_replay_shows_nothing_of_what_the_user_lost(service, world, feed, tell, signer):
    user, project, other = uuid7(), uuid7(), type(world)()
    task = uuid7()
    await feed.keep(world.joins(user), world.project(project), other.joins(user))
    await tell(user, "project", workspace_id=world.id, project_id=project, task_id=task)
    await tell(user, "task", workspace_id=world.id, project_id=project, task_id=uuid7())
    await tell(user, "workspace", workspace_id=other.id)
    await tell(user, "own")
    beginning = signer.position({user: 0, world.id: world.seq, other.id: other.seq})
    async with service.reading(user, beginning) as reader:
        assert texts(await reader.frames(4)) == ["project", "task", "workspace", "own"]
    await feed.keep(world.project(project, visibility="private"), world.share(str(task), user), other.leaves(user))
    beginning = signer.position({user: 0, world.id: world.seq})
    async with service.reading(user, beginning) as reader:
        assert texts(await reader.frames(2)) == ["project", "own"]
        assert await reader.is_idle()


async def test_f6_what_comes_late_of_a_workspace_that_was_left_is_shown_nobody(service, world, feed, tell):
    """What tells somebody of a task may be on its way while they are let go of, and come after they are told so."""
    user, other = uuid7(), type(world)()
    await feed.keep(world.joins(user), other.joins(user))
    async with service.reading(user) as reader:
        await feed.keep(other.leaves(user, is_told=True))
        assert (await reader.frame())["type"] == "member.removed"
        assert (await reader.frame())["type"] == "subscription_revoked"
        await tell(user, "late", workspace_id=other.id)
        await tell(user, "elsewhere", workspace_id=world.id)
        assert texts([await reader.frame()]) == ["elsewhere"]
        await feed.keep(other.joins(user))
        await tell(user, "again", workspace_id=other.id)
        frames = {one["type"]: one for one in await reader.frames(2)}
        assert texts([frames["notification.created"]]) == ["again"]
        assert await reader.is_idle()


async def test_f6_what_was_lost_before_a_socket_was_opened_does_not_come_late_either(service, world, feed, tell):
    user, project, other = uuid7(), uuid7(), type(world)()
    await feed.keep(world.joins(user), world.project(project), other.joins(user))
    others = [str(one) for one in world.members if one != user]
    hidden = world.project(project, visibility="private", audience=others, lost_by=[str(user)])
    await feed.keep(other.leaves(user), hidden)
    async with service.reading(user) as reader:
        await tell(user, "of the workspace", workspace_id=other.id)
        await tell(user, "of the project", workspace_id=world.id, project_id=project, task_id=uuid7())
        await tell(user, "seen", workspace_id=world.id)
        assert texts([await reader.frame()]) == ["seen"]
        assert await reader.is_idle()


@pytest.mark.parametrize("wanted", [None, "me"])
async def test_j4_what_comes_late_of_a_project_that_was_lost_is_shown_nobody(service, world, feed, tell, wanted):
    user, project, kept = uuid7(), uuid7(), uuid7()
    await feed.keep(world.joins(user), world.project(project), world.project(kept))
    async with service.reading(user) as reader:
        if wanted is not None:
            assert (await reader.ask({"type": "subscribe", "me": True}))["type"] == "subscribed"
        others = [str(one) for one in world.members if one != user]
        await feed.keep(world.project(project, visibility="private", audience=others, lost_by=[str(user)]))
        if wanted is None:
            assert (await reader.frame())["removed"] == {"reason": "access_lost"}
        await tell(user, "late", workspace_id=world.id, project_id=project, task_id=uuid7())
        await tell(user, "kept", workspace_id=world.id, project_id=kept, task_id=uuid7())
        assert texts([await reader.frame()]) == ["kept"]
        assert await reader.is_idle()


BOUND = {
    "all": ({}, ["a", "b", "workspace", "elsewhere", "own"]),
    "workspace": ({"workspace_id": "world"}, ["a", "b", "workspace"]),
    "project": ({"project_ids": ["a"]}, ["a"]),
    "both": ({"workspace_id": "world", "project_ids": ["b"]}, ["b"]),
}


@pytest.mark.parametrize("bound", BOUND)
@pytest.mark.parametrize("scope", ["notifications:read", None])
async def test_a8_a_token_hears_of_what_it_could_ask_for(
    service, world, feed, tell, test_gateway, signer, bound, scope
):
    user, other = uuid7(), type(world)()
    projects = {"a": uuid7(), "b": uuid7()}
    await feed.keep(world.joins(user), other.joins(user), *(world.project(one) for one in projects.values()))
    restriction, told = BOUND[bound]
    given = dict(restriction)
    if "workspace_id" in given:
        given["workspace_id"] = world.id
    if "project_ids" in given:
        given["project_ids"] = [projects[one] for one in given["project_ids"]]
    scopes = ["tasks:read", *([scope] if scope else [])]
    reader = await service.open(user, headers=test_gateway.token_headers(user, *scopes, **given))
    await reader.ready()
    await tell(user, "a", workspace_id=world.id, project_id=projects["a"])
    await tell(user, "b", workspace_id=world.id, project_id=projects["b"])
    await tell(user, "workspace", workspace_id=world.id)
    await tell(user, "elsewhere", workspace_id=other.id)
    await tell(user, "own")
    await tell(user, "a secret", event_type="channel.updated.v1")
    assert texts(await reader.frames(len(told) if scope else 0)) == (told if scope else [])
    assert await reader.is_idle()
    await reader.socket.close()


async def test_the_relay_hands_what_was_told_to_the_broker(database, valkey_url, tell, rows):
    """Whoever may be interested in it: nobody has to be."""
    user = uuid7()
    await rows("DELETE FROM notifications.outbox")
    await tell(user, "one", "two")
    transport, stop = StreamsTransport(valkey_url, prefix=f"t{uuid7().hex}"), asyncio.Event()
    running = asyncio.create_task(OutboxRelay(database, OUTBOX, transport).run(stop))

    async def tried():
        return await rows("SELECT 1 FROM notifications.outbox WHERE state = 'sent' OR attempts > 0")

    await eventually(tried)
    stop.set()
    await running
    await transport.close()

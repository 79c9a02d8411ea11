"""Who is a member of what: from events, from the tasks service for what is new, and while sockets are open."""

import asyncio

import pytest
from chassis.ids import uuid7
from starlette.responses import JSONResponse, RedirectResponse, Response
from testkit.servers import free_port
from testkit.waiting import eventually


async def test_a_new_member_sees_what_follows_on_its_open_sockets(service, world, team, feed, signer):
    new = uuid7()
    async with service.reading(new) as reader, service.reading(new) as second:
        await feed.keep(world.task("before"), world.joins(new), world.task("after"))
        for one in (reader, second):
            frames = await one.frames(2)
            assert [(frame["type"], frame["seq"]) for frame in frames] == [("member.added", 4), ("task.created", 5)]
            assert signer.read_position(frames[-1]["cursor"]) == {world.id: 5, new: 0}


async def test_a_new_member_of_a_workspace_with_a_long_past(service, world, team, feed, rows):
    """One that sees its log from the beginning, of which there is more than is read at once."""
    new, ann = uuid7(), team[0]
    await feed.keep(*world.tasks(2))
    await rows(
        "INSERT INTO notifications.stream_event SELECT workspace_id, n, type, audience, frame, occurred_at"
        " FROM notifications.stream_event, generate_series(5, 1300) AS n WHERE workspace_id = :w AND seq = 4",
        w=world.id,
    )
    world.seq = 1300
    async with service.reading(new) as reader, service.reading(ann) as old:
        await feed.keep(world.joins(new, joined_seq=1), world.task("after"))
        assert [frame["seq"] for frame in await reader.frames(2)] == [1301, 1302]
        assert await reader.is_idle()
        assert [frame["seq"] for frame in await old.until_seq(1302)][-2:] == [1301, 1302]


@pytest.mark.parametrize("is_told", [True, False])
async def test_r54_a_removed_member_sees_nothing_more(service, world, team, feed, signer, is_told):
    ann, bob = team
    other = type(world)()
    await feed.keep(other.joins(ann))
    async with service.reading(ann) as removed, service.reading(bob) as rest:
        await feed.keep(world.task(), world.leaves(ann, is_told=is_told), world.task("for Bob"))
        # Its audience is the truth, but even an audience that is wrong shows a former member nothing.
        await feed.keep(world.task("wrongly addressed", audience=[ann, bob]))
        assert [frame["seq"] for frame in await rest.frames(4)] == [3, 4, 5, 6]
        assert (await removed.frame())["seq"] == 3
        if is_told:
            assert (await removed.frame())["type"] == "member.removed"
        revoked = await removed.frame()
        assert revoked == {
            "type": "subscription_revoked",
            "workspace_id": str(world.id),
            "cursor": revoked["cursor"],
        }
        assert signer.read_position(revoked["cursor"]) == {other.id: 1, ann: 0}
        await feed.keep(other.task("elsewhere"))
        assert (await removed.frame())["data"]["title"] == "elsewhere"
        assert await removed.is_idle()
    async with service.reading(ann, signer.position({world.id: 1})) as again:
        # That it is out of it is all that it is told of it.
        if is_told:
            assert (await again.frame())["removed"] == {"reason": "access_lost"}
        revoked = await again.frame()
        assert (revoked["type"], revoked["workspace_id"]) == ("subscription_revoked", str(world.id))
        assert [frame["workspace_id"] for frame in await again.frames(2)] == [str(other.id)] * 2
        assert await again.is_idle()


@pytest.mark.parametrize("joined_seq", [None, 1])
async def test_a_member_that_left_and_came_back_on_an_open_socket(service, world, team, feed, joined_seq):
    ann, _ = team
    async with service.reading(ann) as reader:
        await feed.keep(world.task("seen"), world.leaves(ann), world.task("not seen"))
        assert [(await reader.frame())["type"] for _ in range(2)] == ["task.created", "subscription_revoked"]
        await feed.keep(world.joins(ann, joined_seq=joined_seq), world.task("seen again"))
        frames = await reader.frames(2)
        assert [(frame["type"], frame["seq"]) for frame in frames] == [("member.added", 6), ("task.created", 7)]
        # All of it at once, as after a while without wake-ups.
        leaving = [world.leaves(ann), world.task("not seen"), world.joins(ann, joined_seq=joined_seq), world.task("b")]
        first, *others = leaving
        await feed.keep(*others)
        await feed.keep(first)
        types = [frame["type"] for frame in await reader.until_seq(11)]
        assert types in (["subscription_revoked", "member.added", "task.created"], ["member.added", "task.created"])
        assert await reader.is_idle()


@pytest.mark.parametrize("joined_seq", [None, 1])
async def test_a_member_that_left_and_came_back_goes_on_from_an_old_cursor(service, world, team, feed, joined_seq):
    """Nothing of the time between, and everything since; the removal of then is history."""
    ann, _ = team
    reader = await service.open(ann)
    cursor = await reader.ready()
    await reader.socket.close()
    await feed.keep(world.task(), world.leaves(ann), *world.tasks(2), world.joins(ann, joined_seq=joined_seq))
    await feed.keep(world.task("since"))
    async with service.reading(ann, cursor) as again:
        assert [frame["seq"] for frame in await again.frames(3)] == [3, 7, 8]
        await feed.keep(world.task("live"))
        assert (await again.frame())["seq"] == 9
        assert await again.is_idle()


async def test_a_removal_while_the_past_is_read(service, world, team, feed, signer):
    ann, bob = team
    await feed.keep(*world.tasks(40, "y" * 30_000))
    async with service.reading(bob) as rest:
        reader = await service.open(ann, signer.position({world.id: 2}))
        await feed.keep(world.leaves(ann), world.task("not for Ann", audience=[ann, bob]))
        assert [frame["seq"] for frame in await rest.frames(2)] == [43, 44]
        await reader.ready()
        frames = [await reader.frame() for _ in range(41)]
        assert [frame.get("seq") for frame in frames] == [*range(3, 43), None]
        assert frames[-1]["type"] == "subscription_revoked"
        assert await reader.is_idle()
        await reader.socket.close()


async def test_a_miss_is_asked_once_as_the_caller(service, world, tasks_api, feed):
    user = uuid7()
    tasks_api.joined[user] = {world.id: 1}
    async with service.reading(user) as reader:
        assert tasks_api.calls == [user]
        await feed.keep(world.joins(user), world.task())
        assert [frame["seq"] for frame in await reader.frames(2)] == [1, 2]
    async with service.reading(user) as reader:
        assert tasks_api.calls == [user]
        assert await reader.is_idle()


ANSWERS = {
    "401": Response(status_code=401),
    "500": Response(status_code=500),
    "no JSON": Response(b"<html>"),
    "no object": JSONResponse([]),
    "another object": JSONResponse({"unexpected": True}),
    "null": JSONResponse({"memberships": None}),
    "rows without fields": JSONResponse({"memberships": [{}]}),
    "ids that are none": JSONResponse({"memberships": [{"workspace_id": "x", "joined_seq": 1}]}),
    "a redirect": RedirectResponse("/elsewhere"),
}


@pytest.mark.parametrize("kind", ANSWERS)
async def test_a_miss_with_a_useless_answer_shows_nothing_until_the_event_comes(
    service, world, tasks_api, feed, signer, kind
):
    user = uuid7()
    tasks_api.joined[user] = {world.id: 1}
    tasks_api.answer = ANSWERS[kind]
    reader = await service.open(user)
    assert signer.read_position(await reader.ready()) == {user: 0}
    assert tasks_api.calls == [user]
    await feed.keep(world.joins(user), world.task())
    assert [frame["seq"] for frame in await reader.frames(2)] == [1, 2]
    await reader.socket.close()


async def test_a_miss_waits_for_the_tasks_service_a_second_at_most(service, tasks_api, signer):
    user = uuid7()
    tasks_api.hold = asyncio.Event()
    tasks_api.joined[user] = {uuid7(): 1}
    began = asyncio.get_running_loop().time()
    reader = await service.open(user)
    assert 0.9 < asyncio.get_running_loop().time() - began < 3
    tasks_api.hold.set()
    assert signer.read_position(await reader.ready()) == {user: 0}
    assert tasks_api.calls == [user]
    await reader.socket.close()


async def test_a_miss_while_the_tasks_service_is_down(start, world, feed):
    user = uuid7()
    async with start(tasks_url=f"http://127.0.0.1:{free_port()}") as lonely, lonely.reading(user) as reader:
        await feed.keep(world.joins(user))
        assert (await reader.frame())["type"] == "member.added"


async def test_an_event_that_comes_while_the_tasks_service_is_asked_is_not_missed(service, world, tasks_api, feed):
    """The projection had nothing, the answer has nothing, and the wake-up comes in between."""
    user = uuid7()
    tasks_api.hold = asyncio.Event()
    opening = asyncio.create_task(service.open(user))

    async def asked():
        return tasks_api.calls == [user]

    await eventually(asked)
    await feed.keep(world.joins(user), world.task())
    tasks_api.hold.set()
    reader = await opening
    await reader.ready()
    assert [frame["seq"] for frame in await reader.frames(2)] == [1, 2]
    await reader.socket.close()

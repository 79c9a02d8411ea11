"""The socket itself (R54): handshake, frames, who sees what, and what ends it."""

import asyncio
import json

import pytest
import websockets
from chassis.ids import uuid7
from testkit.waiting import eventually


async def refusal_of(url, **options):
    """Return status and code of a refused handshake, whose answer is in the envelope."""
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(url, **options)
    answer = refused.value.response
    body = json.loads(answer.body)
    assert (body["success"], body["data"]) == (False, None)
    assert body["meta"]["request_id"]
    return answer.status_code, body["errors"][0]["code"], answer.headers


async def test_r21_without_an_identity_401(service, test_gateway):
    stale = {"x-taskloom-identity": test_gateway.headers(uuid7())["x-taskloom-identity"][:-4] + "AAAA"}
    for headers in (
        {},
        {"authorization": "Bearer x"},
        {"x-taskloom-identity": "x"},
        {"x-user-id": str(uuid7())},
        stale,
    ):
        status, code, answered = await refusal_of(service.url, additional_headers=headers)
        assert (status, code, answered["www-authenticate"]) == (401, "UNAUTHENTICATED", "Bearer")


async def test_r21_a_service_is_no_user_401(service, test_gateway):
    status, code, _ = await refusal_of(service.url, additional_headers=test_gateway.service_headers())
    assert (status, code) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize("cursor", ["", "abc", "%ff", "a" * 7_000, "AAAAAAAAAAAAAAAAAAAAAA"])
async def test_a_cursor_that_is_none_400(service, test_gateway, cursor, tasks_api):
    user = uuid7()
    url = f"{service.url}?cursor={cursor}"
    status, code, _ = await refusal_of(url, additional_headers=test_gateway.headers(user))
    assert (status, code) == (400, "INVALID_CURSOR")
    assert tasks_api.calls == []


async def test_a_cursor_that_was_changed_400(service, test_gateway, signer):
    cursor = signer.position({uuid7(): 5})
    changed = ("B" if cursor[0] == "A" else "A") + cursor[1:]
    status, code, _ = await refusal_of(
        f"{service.url}?cursor={changed}", additional_headers=test_gateway.headers(uuid7())
    )
    assert (status, code) == (400, "INVALID_CURSOR")


@pytest.mark.parametrize(
    ("query", "code"),
    [("cursors=x", "UNKNOWN_PARAMETER"), ("cursor=x&cursor=y", "REPEATED_PARAMETER"), ("cursor=%00", "NULL_CHARACTER")],
)
async def test_r31_unknown_or_repeated_parameter_422(service, test_gateway, query, code):
    refused = await refusal_of(f"{service.url}?{query}", additional_headers=test_gateway.headers(uuid7()))
    assert refused[:2] == (422, code)


async def test_frames_say_everything_about_a_change(service, world, team, feed, signer):
    ann, _ = team
    async with service.reading(ann) as reader:
        changes = [{"field": "status", "old": "todo", "new": "done"}]
        created = world.task()
        updated = world.task(event_type="task.updated.v1", changes=changes, project_id=str(uuid7()), version=8)
        await feed.keep(created, updated)
        first, second = await reader.frames(2)
    assert first["type"] == "task.created"
    assert second == {
        "seq": 4,
        "cursor": second["cursor"],
        "type": "task.updated",
        "event_id": str(updated.event_id),
        "workspace_id": str(world.id),
        "project_id": updated.data["project_id"],
        "task_id": updated.data["task_id"],
        "subject": str(updated.subject),
        "version": 8,
        "changes": changes,
        "actor": updated.data["actor"],
        "data": updated.data["resource"],
        "occurred_at": second["occurred_at"],
        "origin_request_id": "request-4",
    }
    assert [signer.read_position(frame["cursor"]) for frame in (first, second)] == [
        {ann: 0, world.id: 3},
        {ann: 0, world.id: 4},
    ]


async def test_every_reader_sees_its_own_workspaces_and_nothing_else(service, world, feed):
    other = type(world)()
    ann, bob, cem = uuid7(), uuid7(), uuid7()
    await feed.keep(world.joins(ann), world.joins(bob), other.joins(bob), other.joins(cem))
    async with (
        service.reading(ann) as of_ann,
        service.reading(ann) as of_ann_too,
        service.reading(bob) as of_bob,
        service.reading(cem) as of_cem,
        service.reading(uuid7()) as of_nobody,
    ):
        secret = world.task("for Ann only", audience=[ann])
        await feed.keep(secret, world.task("both"), other.task("others"))
        for reader in (of_ann, of_ann_too):
            assert [frame["data"]["title"] for frame in await reader.frames(2)] == ["for Ann only", "both"]
        assert sorted(frame["data"]["title"] for frame in await of_bob.frames(2)) == ["both", "others"]
        assert [frame["data"]["title"] for frame in await of_cem.frames(1)] == ["others"]
        for reader in (of_ann, of_ann_too, of_bob, of_cem, of_nobody):
            assert await reader.is_idle()


async def test_ping_and_anything_else(service):
    async with service.reading(uuid7()) as reader:
        await reader.socket.send('{"type":"ping"}')
        assert await reader.frame() == {"type": "pong"}
        await reader.socket.send(b'{"type":"ping"}')
        assert await reader.frame() == {"type": "pong"}
        for message in ("", "nonsense", b"\xff\xfe", "{", "[]", "null", '{"type":["ping"]}', "[" * 30_000, '{"id":7}'):
            await reader.socket.send(message)
            answer = await reader.frame()
            assert (answer["type"], answer["code"], answer["id"]) == ("error", "UNKNOWN_MESSAGE", None)


async def test_r54_more_than_twenty_messages_a_second_1008(service):
    async with service.reading(uuid7()) as reader:
        for _ in range(21):
            await reader.socket.send('{"type":"ping"}')
        assert await reader.frames(20) == [{"type": "pong"}] * 20
        assert await reader.closed() == (1008, "too many messages")


async def test_r54_twenty_messages_a_second_are_fine(service):
    async with service.reading(uuid7()) as reader:
        for _ in range(20):
            await reader.socket.send('{"type":"ping"}')
        assert await reader.frames(20) == [{"type": "pong"}] * 20


async def test_r54_frame_above_64_kib_1009(service):
    async with service.reading(uuid7()) as reader:
        await reader.socket.send("x" * 64 * 1024)
        assert (await reader.frame())["code"] == "UNKNOWN_MESSAGE"
        await reader.socket.send("x" * (64 * 1024 + 1))
        assert (await reader.closed())[0] == 1009


async def test_r54_twenty_sockets_a_user_and_then_429(service, test_gateway):
    user = uuid7()
    headers = test_gateway.headers(user)
    readers = await asyncio.gather(*(service.open(user) for _ in range(20)))
    status, code, answered = await refusal_of(service.url, additional_headers=headers)
    assert (status, code, answered["retry-after"]) == (429, "TOO_MANY_SOCKETS", "5")
    async with service.reading(uuid7()) as other:
        assert await other.is_idle()
    await readers.pop().socket.close()

    async def free_again():
        try:
            readers.append(await service.open(user))
        except websockets.InvalidStatus:
            return False
        return True

    await eventually(free_again)
    for reader in readers:
        await reader.socket.close()


async def test_r54_sockets_opened_at_once_do_not_slip_through(start, tasks_api):
    """They are counted before anything is waited for."""
    tasks_api.hold = asyncio.Event()
    async with start(max_sockets_per_user=3) as service:
        user = uuid7()
        opening = [asyncio.create_task(service.open(user)) for _ in range(8)]

        async def decided():
            return sum(one.done() for one in opening) >= 5

        await eventually(decided)
        tasks_api.hold.set()
        outcomes = await asyncio.gather(*opening, return_exceptions=True)
        refused = [one for one in outcomes if isinstance(one, websockets.InvalidStatus)]
        assert [one.response.status_code for one in refused] == [429] * 5
        opened = [one for one in outcomes if not isinstance(one, BaseException)]
        assert len(opened) == 3
        for reader in opened:
            await reader.socket.close()


async def test_r54_sockets_of_the_process_are_limited(start, test_gateway):
    async with start(max_sockets=1) as service, service.reading(uuid7()):
        refusal = await refusal_of(service.url, additional_headers=test_gateway.headers(uuid7()))
        assert refusal[:2] == (429, "TOO_MANY_SOCKETS")


async def test_nothing_is_kept_of_readers_that_are_gone(service, world, team, feed):
    ann, bob = team
    hub = service.app.state.hub
    readers = [await service.open(user) for user in (ann, bob, ann)]
    for reader in readers:
        await reader.ready()
    await feed.keep(world.task())
    for reader in readers:
        await reader.frame()
    readers.pop().socket.transport.abort()
    for reader in readers:
        await reader.socket.close()

    async def empty():
        return not hub._streams and not hub._by_user and hub._open == 0  # noqa: SLF001 - memory has no other face

    await eventually(empty)


BIG = "x" * 60_000


async def test_r54_slow_reader_goes_on_after_a_resync_and_slows_nobody(start, world, team, feed):
    """One that does not read at all, while another gets everything."""
    ann, bob = team
    async with start(blocked_seconds=30) as service, service.reading(bob) as fast:
        slow = await service.open(ann)
        await slow.ready()
        slow.socket.transport.pause_reading()
        events = world.tasks(130, BIG)
        last = events[-1].sequence
        await feed.put(*events[:50])
        await feed.put(*events[50:])
        assert [frame["seq"] for frame in await fast.until_seq(last)] == list(range(3, last + 1))
        slow.socket.transport.resume_reading()
        taken = [await slow.frame()]
        while taken[-1]["type"] != "resync_required":
            taken.append(await slow.frame())
        assert await slow.closed() == (1013, "too slow")
        assert len(taken) < len(events)
        async with service.reading(ann, taken[-1]["cursor"]) as again:
            rest = await again.until_seq(last)
        assert [frame["seq"] for frame in taken[:-1] + rest] == list(range(3, last + 1))


async def test_r54_frame_that_was_blocked_comes_after_the_resync(start, world, team, feed, lines):
    ann, _ = team
    async with start(blocked_seconds=1) as service, lines() as caught:
        slow = await service.open(ann)
        await slow.ready()
        slow.socket.transport.pause_reading()
        events = world.tasks(130, BIG)
        last = events[-1].sequence
        for event in events:
            await feed.put(event)

        async def given_up():
            return any(line["event"] == "socket.ended_for_now" for line in caught)

        await eventually(given_up)
        slow.socket.transport.resume_reading()
        taken = [await slow.frame()]
        while taken[-1]["type"] != "resync_required":
            taken.append(await slow.frame())
        assert (await slow.closed())[0] == 1013
        async with service.reading(ann, taken[-1]["cursor"]) as again:
            rest = await again.until_seq(last)
        assert [frame["seq"] for frame in taken[:-1] + rest] == list(range(3, last + 1))


async def test_r54_many_changes_at_once_are_not_the_readers_fault(service, world, team, feed):
    """A bulk change of more than what may wait for a reader that is slow."""
    ann, _ = team
    first, *others = world.tasks(25, BIG)
    async with service.reading(ann) as reader:
        await feed.keep(*others)
        await feed.keep(first)
        assert [frame["seq"] for frame in await reader.until_seq(27)] == list(range(3, 28))
        assert await reader.is_idle()


async def test_r65_lines_of_a_socket_say_whose_it_is(service, lines):
    user = uuid7()
    async with lines() as caught:
        async with service.reading(user):
            pass

        async def both():
            mine = [line for line in caught if line.get("user_id") == str(user)]
            return mine if len(mine) == 2 else None

        opened, closed = await eventually(both)
    assert (opened["event"], closed["event"]) == ("socket.opened", "socket.closed")
    for name in ("session_id", "request_id", "trace_id"):
        assert opened[name] == closed[name]

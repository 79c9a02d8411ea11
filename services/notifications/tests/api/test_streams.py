"""Server-sent events (J2): the frames of sockets for who has no WebSocket, with plain HTTP."""

import asyncio
import signal
import time
from contextlib import asynccontextmanager
from datetime import timedelta

import aiohttp
import httpx2
import orjson
import pytest
from chassis.clock import utcnow
from chassis.ids import uuid7
from notifications_service.scheduler import jobs
from testkit.contract import contract_client
from testkit.jobs import run_to_end
from testkit.waiting import eventually

FRAME_SECONDS = 30.0
BIG = "x" * 60_000


class Listener:
    """A client's end of a stream."""

    def __init__(self, answer):
        self.answer = answer
        self.ids = []
        self.read = b""

    async def block(self):
        """Return the next block of lines, or None at the end."""
        while b"\n\n" not in self.read:
            if not (data := await asyncio.wait_for(self.answer.content.readany(), FRAME_SECONDS)):
                return None
            self.read += data
        block, _, self.read = self.read.partition(b"\n\n")
        return block.decode().split("\n")

    async def event(self):
        """Return the next event's frame; comments are passed over."""
        while (lines := await self.block()) is not None:
            told = dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
            if "data" in told:
                frame = orjson.loads(told["data"])
                assert (told["event"], told.get("id")) == (frame["type"], frame.get("cursor"))
                self.ids.append(told["id"])
                return frame
        return None

    async def events(self, count):
        return [await self.event() for _ in range(count)]


@pytest.fixture
async def listen(test_gateway):
    """Opens streams of a service."""
    # A small buffer, so that who does not read is noticed.
    async with aiohttp.ClientSession(read_bufsize=2**10) as session:

        @asynccontextmanager
        async def listen(service, user, *, headers=None, **query):
            url = f"http://127.0.0.1:{service.port}/api/v1/stream"
            asked = {**(test_gateway.headers(user)), **(headers or {})}
            async with session.get(url, params=query, headers=asked) as answer:
                assert (answer.status, answer.content_type) == (200, "text/event-stream"), await answer.text()
                yield Listener(answer)

        yield listen


@pytest.fixture
async def api(contract, service):
    """Plain requests, whose answers are as the document says."""
    async with contract_client(contract, base_url=f"http://127.0.0.1:{service.port}", trust_env=False) as client:
        yield client


async def test_j2_the_stream_has_the_frames_of_a_socket(service, listen, world, team, feed, tell):
    ann, _ = team
    async with listen(service, ann) as stream, service.reading(ann) as socket:
        assert await stream.block() == ["retry: 2000"]
        ready = await stream.event()
        assert ready == {"type": "ready", "cursor": ready["cursor"]}
        await feed.keep(world.task("grüße 漢字"), world.task("two"))
        await tell(ann, "three")
        frames = await socket.frames(3)
        assert await stream.events(3) == frames
        assert stream.answer.headers["cache-control"] == "no-store"
        assert "content-length" not in stream.answer.headers


async def test_j2_last_event_id_wins_over_the_cursor(service, listen, world, team, feed):
    ann, _ = team
    async with listen(service, ann) as stream:
        await stream.event()
        await feed.keep(*world.tasks(5))
        frames = await stream.events(5)
    for place, last in enumerate(stream.ids):
        async with listen(service, ann, headers={"Last-Event-ID": last}, cursor=stream.ids[0]) as again:
            assert (await again.event())["type"] == "ready"
            assert await again.events(5 - place) == frames[place:]
    async with listen(service, ann, cursor=stream.ids[3]) as again:
        assert (await again.events(3))[1:] == frames[3:]


async def test_j4_of_what_was_deleted_for_good_only_that_is_replayed(service, listen, world, team, feed, signer):
    ann, _ = team
    start = signer.position({world.id: world.seq})
    created = world.task("secret")
    task = created.data["resource"]
    updated, purged = [
        world.event(f"task.{verb}.v1", entity_type="task", resource={**task, "title": title}, task_id=task["id"])
        for verb, title in (("updated", "secret, too"), ("purged", "last"))
    ]
    await feed.keep(created, updated, purged)
    for asked in ({"cursor": start}, {"headers": {"Last-Event-ID": start}}):
        async with listen(service, ann, **asked) as stream:
            ready, frame = await stream.events(2)
            assert ready["type"] == "ready"
            assert (frame["type"], frame["data"]["title"], frame["removed"]) == (
                "task.purged",
                "last",
                {"reason": "purged"},
            )


async def test_j2_scopes_and_a_filter(service, listen, world, team, feed):
    ann, _ = team
    project = uuid7()
    await feed.keep(world.project(project))
    async with listen(service, ann, scopes=f"project:{project}", filter="title contains milk") as stream:
        await stream.event()
        inside = {"project_id": str(project)}
        await feed.keep(world.task("Milk"), world.task("Buy milk", **inside), world.task("Buy bread", **inside))
        await feed.keep(world.task("Sell milk", **inside))
        assert [one["data"]["title"] for one in await stream.events(2)] == ["Buy milk", "Sell milk"]


async def test_j2_a_comment_keeps_it_alive(start, listen):
    async with start(beat_seconds=0.2) as service, listen(service, uuid7()) as stream:
        assert await stream.block() == ["retry: 2000"]
        await stream.event()
        assert [await stream.block() for _ in range(3)] == [[": "]] * 3


async def test_j3_an_expired_cursor_is_410_before_the_stream(
    service, api, listen, test_gateway, signer, database, tell, rows
):
    user = uuid7()
    await tell(user, "old", "new")
    aged = "UPDATE notifications.stream_event SET occurred_at = :at WHERE workspace_id = :u AND seq = 1"
    await rows(aged, at=utcnow() - timedelta(days=31), u=user)
    await run_to_end(database, jobs(30), "purge-replay-store")
    headers = test_gateway.headers(user)
    for asked in ({"cursor": signer.position({user: 0})}, {}):
        given = {**headers, **({} if asked else {"Last-Event-ID": signer.position({user: 0})})}
        answer = await api.get("/api/v1/stream", params=asked, headers=given)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (410, "CURSOR_EXPIRED")
    async with listen(service, user, cursor=signer.position({user: 1})) as stream:
        assert (await stream.events(2))[1]["data"]["text"] == "new"


REFUSED = [
    ({"cursor": "abc"}, 400, "INVALID_CURSOR"),
    ({"scopes": "you"}, 422, "UNKNOWN_SCOPE"),
    ({"scopes": f"project:{uuid7()}"}, 404, "NOT_FOUND"),
    ({"scopes": ",".join(f"task:{uuid7()}" for _ in range(51))}, 422, "TOO_MANY_SUBSCRIPTIONS"),
    ({"filter": "priority ="}, 400, "INVALID_FILTER"),
    ({"filter": "priority = hi"}, 422, "VALUE_NOT_ALLOWED"),
    ({"filter": "(" * 50}, 400, "FILTER_TOO_COMPLEX"),
    ({"tz": "Nowhere"}, 422, "UNKNOWN_TIMEZONE"),
    ({"scope": "me"}, 422, "UNKNOWN_PARAMETER"),
]


@pytest.mark.parametrize(("query", "status", "code"), REFUSED)
async def test_what_can_not_be_followed_is_refused(api, service, test_gateway, query, status, code):
    answer = await api.get("/api/v1/stream", params=query, headers=test_gateway.headers(uuid7()))
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (status, code)
    await nothing_is_open(service)


async def nothing_is_open(service):
    hub = service.app.state.hub

    async def empty():
        return not hub._by_user and not hub._streams and hub._open == 0  # noqa: SLF001 - memory has no other face

    await eventually(empty)


async def test_r21_without_an_identity_or_the_scope(api, test_gateway):
    assert (await api.get("/api/v1/stream")).status_code == 401
    answer = await api.get("/api/v1/stream", headers=test_gateway.token_headers(uuid7(), "attachments:read"))
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, "INSUFFICIENT_SCOPE")


async def test_head_is_answered_at_once(api, service, test_gateway):
    answer = await api.head("/api/v1/stream", headers=test_gateway.headers(uuid7()))
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
    await nothing_is_open(service)


async def test_r54_streams_count_as_sockets(start, listen, test_gateway):
    user = uuid7()
    async with start(max_sockets_per_user=2) as service:
        async with listen(service, user) as stream, service.reading(user):
            await stream.event()
            url = f"http://127.0.0.1:{service.port}/api/v1/stream"
            async with httpx2.AsyncClient(timeout=60, trust_env=False) as client:
                answer = await client.get(url, headers=test_gateway.headers(user))
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
            assert answer.json()["errors"][0]["code"] == "TOO_MANY_SOCKETS"
        await nothing_is_open(service)


async def test_r54_a_slow_reader_is_told_where_to_go_on_and_slows_nobody(start, listen, world, team, feed):
    ann, bob = team
    async with start(blocked_seconds=30) as service, listen(service, bob) as fast, listen(service, ann) as slow:
        await fast.event()
        await slow.event()
        slow.answer.connection.transport.pause_reading()
        events = world.tasks(200, BIG)
        last = events[-1].sequence
        read = []
        for start_ in range(0, 200, 50):
            await feed.put(*events[start_ : start_ + 50])
            read += [frame["seq"] for frame in await fast.events(50)]
        assert read == list(range(3, last + 1))
        slow.answer.connection.transport.resume_reading()
        taken = [await slow.event()]
        while taken[-1]["type"] != "resync_required":
            taken.append(await slow.event())
        assert len(taken) < len(events)
        async with listen(service, ann, headers={"Last-Event-ID": taken[-1]["cursor"]}) as again:
            await again.event()
            rest = await again.events(last - 2 - len(taken[:-1]))
        assert [frame["seq"] for frame in taken[:-1] + rest] == list(range(3, last + 1))


async def test_j7_a_lost_project_ends_its_scope(service, listen, world, team, feed):
    ann, _ = team
    project = uuid7()
    await feed.keep(world.project(project))
    async with listen(service, ann, scopes=f"project:{project}") as stream:
        await stream.event()
        changes = [{"field": "visibility", "old": "workspace", "new": "private"}]
        lost = {"changes": changes, "audience": [], "lost_by": [str(ann)]}
        await feed.keep(world.project(project, visibility="private", **lost))
        first, second = await stream.events(2)
        assert (first["removed"], second["type"]) == ({"reason": "access_lost"}, "subscription_revoked")


async def test_nothing_is_kept_of_streams_that_are_gone(service, listen, world, team, feed):
    ann, _ = team
    async with listen(service, ann) as stream:
        await stream.event()
    await nothing_is_open(service)
    await feed.keep(world.task())
    await nothing_is_open(service)


async def test_r63_sigterm_ends_streams(process, listen, world, team, feed):
    """In time, and where one goes on elsewhere nothing is missing."""
    ann, _ = team
    async with process() as (running, service):
        async with listen(service, ann) as stream:
            await stream.event()
            await feed.keep(world.task())
            await stream.event()
            began = time.monotonic()
            running.send_signal(signal.SIGTERM)
            assert await stream.block() is None
        assert await asyncio.wait_for(running.wait(), 30) == 0
        assert time.monotonic() - began < 6

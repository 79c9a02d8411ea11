"""Any replica serves any client, a restart loses nothing (J6), and who is not there any more is let go (R54)."""

import asyncio
import base64
import json
import os
import signal
from contextlib import AsyncExitStack

import pytest
import websockets
from chassis.ids import uuid7
from chassis.process import make_server
from chassis.settings import ProcessSettings
from testkit.servers import free_port
from testkit.waiting import eventually


class Follower:
    """A client that comes again, anywhere, with the last cursor that it saw."""

    def __init__(self, user, services):
        self.user, self.services = user, services
        self.seen, self.cursor, self.times = [], None, 0

    async def follow(self, last):
        while not self.seen or self.seen[-1] < last:
            service = self.services[self.times % len(self.services)]
            self.times += 1
            try:
                reader = await service.open(self.user, self.cursor)
                while not self.seen or self.seen[-1] < last:
                    frame = await reader.frame()
                    self.cursor = frame.get("cursor", self.cursor)
                    self.seen += [frame["seq"]] if "seq" in frame else []
                await reader.socket.close()
            except (websockets.ConnectionClosed, websockets.InvalidHandshake, OSError):
                continue


async def test_j6_a_replica_that_is_killed_and_started_again_loses_nothing(process, world, team, feed):
    """Clients go to the other one, while changes pour in; each change comes once and in order."""
    ann, bob = team
    events = world.tasks(150)
    last = events[-1].sequence
    async with AsyncExitStack() as stack:
        (first, one), (_, two) = [await stack.enter_async_context(process()) for _ in range(2)]
        replicas = [one, two]
        followers = [Follower(user, replicas) for user in [ann, bob] * 3]
        # All begin before the first change.
        for follower in followers:
            reader = await one.open(follower.user)
            follower.cursor = await reader.ready()
            await reader.socket.close()
        running = [asyncio.create_task(follower.follow(last)) for follower in followers]
        await feed.keep(*events[:50])
        first.send_signal(signal.SIGKILL)
        await feed.keep(*events[50:100])
        third, replicas[0] = await stack.enter_async_context(process())
        third.send_signal(signal.SIGTERM)
        await feed.keep(*events[100:])
        await asyncio.gather(*running)
    assert [follower.seen for follower in followers] == [list(range(3, last + 1))] * 6
    assert all(follower.times > 1 for follower in followers)


@pytest.fixture
async def impatient(service):
    """The app served with pings every fifth of a second, each to be answered as soon."""
    port = free_port()
    server = make_server(service.app, ProcessSettings(environment="test", shutdown_seconds=2), port)
    server.config.ws_ping_interval = server.config.ws_ping_timeout = 0.2
    server.config.lifespan = "off"
    running = asyncio.create_task(server.serve())

    async def started():
        return server.started

    await eventually(started)
    yield port
    server.should_exit = True
    await running


async def test_r54_who_answers_no_ping_is_let_go(impatient, service, test_gateway):
    """A client whose machine is gone; one that answers stays."""
    user = uuid7()
    url = f"ws://127.0.0.1:{impatient}/api/v1/ws"
    async with websockets.connect(url, additional_headers=test_gateway.headers(user)) as alive:
        reader, writer = await asyncio.open_connection("127.0.0.1", impatient)
        headers = {"host": "x", "upgrade": "websocket", "connection": "Upgrade", "sec-websocket-version": "13"}
        headers |= {"sec-websocket-key": base64.b64encode(os.urandom(16)).decode(), **test_gateway.headers(user)}
        lines = [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join(["GET /api/v1/ws HTTP/1.1", *lines, "", ""]).encode())
        hub = service.app.state.hub
        assert (await reader.readline()).split()[1] == b"101"
        assert len(hub._by_user[user]) == 2  # noqa: SLF001 - nothing that a client sees tells it

        async def one_is_left():
            return len(hub._by_user[user]) == 1  # noqa: SLF001 - same

        await eventually(one_is_left)
        assert (await asyncio.wait_for(reader.read(), 10)).endswith(b"keepalive ping timeout")
        writer.close()
        await alive.send('{"type":"ping"}')
        assert [json.loads(await alive.recv())["type"] for _ in range(2)] == ["ready", "pong"]

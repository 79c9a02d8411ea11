"""What happens is seen at once, and nothing is missed or doubled."""

import asyncio
import json

import pytest
import websockets
from testkit.waiting import eventually


def address(base_url, query=""):
    return base_url.replace("http", "ws", 1) + "/api/v1/ws" + query


async def next_frame(socket):
    return json.loads(await asyncio.wait_for(socket.recv(), 5))


async def frames_of_tasks(socket, count):
    found = []
    while len(found) < count:
        frame = await next_frame(socket)
        if frame["type"].startswith("task."):
            found.append(frame)
    return found


async def test_a_task_travels_live(api, base_url, sign_up):
    user = await sign_up()
    async with websockets.connect(address(base_url), additional_headers=user.headers) as socket:
        ready = await next_frame(socket)
        assert ready["type"] == "ready"
        created = await api.post("/api/v1/tasks", json={"title": "Buy milk"}, headers=user.headers)
        task = created.json()["data"]
        (frame,) = await frames_of_tasks(socket, 1)
        assert frame["type"] == "task.created"
        assert frame["subject"] == task["id"]
        assert frame["data"] == task
        assert frame["version"] == 1
        assert frame["origin_request_id"] == created.headers["x-request-id"]
        assert {"field": "title", "old": None, "new": "Buy milk"} in frame["changes"]
        # Who made it watches it, which is told with it.
        assert {"field": "watchers", "old": None, "new": [task["created_by"]]} in frame["changes"]
        await api.patch(f"/api/v1/tasks/{task['id']}", json={"status": "in_progress"}, headers=user.headers)
        (updated,) = await frames_of_tasks(socket, 1)
        assert updated["type"] == "task.updated"
        assert updated["seq"] == frame["seq"] + 1
        assert {"field": "status", "old": "todo", "new": "in_progress"} in updated["changes"]
        assert updated["cursor"] != frame["cursor"]


async def test_resuming_from_any_cursor_gives_exactly_what_was_missed(api, base_url, sign_up):
    user = await sign_up()
    written = [await api.post("/api/v1/tasks", json={"title": str(n)}, headers=user.headers) for n in range(8)]
    async with websockets.connect(
        address(base_url, f"?cursor={written[0].headers['x-cursor']}"), additional_headers=user.headers
    ) as socket:
        assert (await next_frame(socket))["type"] == "ready"
        frames = await frames_of_tasks(socket, 7)
        assert [frame["data"]["title"] for frame in frames] == [str(n) for n in range(1, 8)]
    for position, frame in enumerate(frames[:-1]):
        async with websockets.connect(
            address(base_url, f"?cursor={frame['cursor']}"), additional_headers=user.headers
        ) as socket:
            await next_frame(socket)
            again = await frames_of_tasks(socket, len(frames) - position - 1)
            assert [one["seq"] for one in again] == [one["seq"] for one in frames[position + 1 :]]


async def test_nothing_is_lost_between_replay_and_live(api, base_url, sign_up):
    user = await sign_up()
    first = await api.post("/api/v1/tasks", json={"title": "first"}, headers=user.headers)

    async def write():
        for n in range(30):
            await api.post("/api/v1/tasks", json={"title": str(n)}, headers=user.headers)

    async def read(delay):
        for _ in range(delay):
            await asyncio.sleep(0)
        async with websockets.connect(
            address(base_url, f"?cursor={first.headers['x-cursor']}"), additional_headers=user.headers
        ) as socket:
            await next_frame(socket)
            return [frame["seq"] for frame in await frames_of_tasks(socket, 30)]

    _, *seen = await asyncio.gather(write(), *(read(delay) for delay in (0, 200, 2000)))
    start = seen[0][0]
    assert seen == [list(range(start, start + 30))] * 3


async def test_others_see_nothing(api, base_url, sign_up):
    user, stranger = await sign_up(), await sign_up()
    async with websockets.connect(address(base_url), additional_headers=stranger.headers) as socket:
        await next_frame(socket)
        await api.post("/api/v1/tasks", json={"title": "secret"}, headers=user.headers)
        await api.post("/api/v1/tasks", json={"title": "own"}, headers=stranger.headers)
        (frame,) = await frames_of_tasks(socket, 1)
        assert frame["data"]["title"] == "own"


async def test_r53_a_ticket_opens_one_socket(api, base_url, sign_up):
    user = await sign_up()
    answer = await api.post("/api/v1/ws-tickets", headers=user.headers)
    assert answer.status_code == 201
    ticket = answer.json()["data"]["ticket"]
    assert answer.json()["data"]["expires_in"] == 30
    async with websockets.connect(address(base_url, f"?ticket={ticket}")) as socket:
        assert (await next_frame(socket))["type"] == "ready"
        await socket.send('{"type":"ping"}')
        assert await next_frame(socket) == {"type": "pong"}
        await socket.send("nonsense")
        assert (await next_frame(socket))["type"] == "error"
    for query in (f"?ticket={ticket}", "", "?ticket=abc"):
        with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
            await websockets.connect(address(base_url, query))
        assert refused.value.response.status_code == 401
        assert json.loads(refused.value.response.body)["success"] is False


async def test_a_bad_cursor_is_refused(base_url, sign_up):
    user = await sign_up()
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        await websockets.connect(address(base_url, "?cursor=AAAA"), additional_headers=user.headers)
    assert refused.value.response.status_code == 400
    assert json.loads(refused.value.response.body)["errors"][0]["code"] == "INVALID_CURSOR"


async def test_r53_pages_of_unlisted_origins_may_not_connect(base_url, sign_up):
    user = await sign_up()
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        await websockets.connect(address(base_url), additional_headers=user.headers, origin="https://evil.example")
    assert refused.value.response.status_code == 403


async def test_r6_a_revoked_session_loses_its_socket(api, base_url, sign_up):
    user = await sign_up()
    async with websockets.connect(address(base_url), additional_headers=user.headers) as socket:
        await next_frame(socket)
        await api.post("/api/v1/auth/logout", headers=user.headers)

        async def closed():
            try:
                await asyncio.wait_for(socket.recv(), 0.1)
            except TimeoutError:
                return False
            except websockets.ConnectionClosed:
                return True
            return False

        await eventually(closed, seconds=2)
        assert socket.close_code == 4401

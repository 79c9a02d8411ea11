"""What happens over event streams, and new tokens on open sockets, through all of the system (J2, J7)."""

import asyncio
import json

import httpx2
import websockets

PASSWORD = "violet-harbor-77"
STREAM = "/api/v1/stream"


class Events:
    """The events of a stream, as an EventSource sees them."""

    def __init__(self, response):
        self._lines = response.aiter_lines()

    async def next(self):
        event = {}
        async with asyncio.timeout(30):
            while True:
                line = (await anext(self._lines)).rstrip("\r\n")
                if not line and "data" in event:
                    return {**event, "data": json.loads(event["data"])}
                name, _, value = line.partition(":")
                if name:
                    event[name] = value.removeprefix(" ")

    async def task_with(self, title):
        while (event := await self.next())["data"].get("data") is None or event["data"]["data"].get("title") != title:
            pass
        return event


async def test_j2_stream_shows_what_happens_and_goes_on_where_it_ended(api, base_url, sign_up):
    user = await sign_up()
    async with httpx2.AsyncClient(base_url=base_url, timeout=60) as reader:
        async with reader.stream("GET", STREAM, headers=user.headers) as response:
            assert (response.status_code, response.headers["content-type"][:17]) == (200, "text/event-stream")
            events = Events(response)
            assert (await events.next())["event"] == "ready"
            await api.post("/api/v1/tasks", json={"title": "one"}, headers=user.headers)
            seen = await events.task_with("one")
            assert (seen["event"], seen["id"]) == ("task.created", seen["data"]["cursor"])
        await api.post("/api/v1/tasks", json={"title": "two"}, headers=user.headers)
        headers = {"last-event-id": seen["id"]}
        ticket = (await api.post("/api/v1/ws-tickets", headers=user.headers)).json()["data"]["ticket"]
        async with reader.stream("GET", f"{STREAM}?ticket={ticket}", headers=headers) as response:
            events = Events(response)
            missed = await events.task_with("two")
            assert missed["event"] == "task.created"


async def test_j3_stream_from_a_cursor_that_is_none_is_refused(api, sign_up):
    user = await sign_up()
    answer = await api.get(f"{STREAM}?cursor=AAAA", headers=user.headers)
    assert answer.status_code == 400
    assert answer.json()["success"] is False


async def test_j7_socket_goes_on_with_the_next_access_token_of_its_login(api, base_url, sign_up):
    user = await sign_up()
    address = base_url.replace("http", "ws", 1) + "/api/v1/ws"
    async with websockets.connect(address, additional_headers=user.headers) as socket:

        async def told(kind):
            async with asyncio.timeout(30):
                while (frame := json.loads(await socket.recv()))["type"] != kind:
                    pass
            return frame

        await told("ready")
        body = {"refresh_token": user.refresh_token}
        new = (await api.post("/api/v1/auth/refresh", json=body)).json()["data"]
        await socket.send(json.dumps({"type": "refresh", "access_token": new["access_token"]}))
        assert (await told("refreshed"))["expires_at"].endswith("Z")
        credentials = {"email": user.email, "password": PASSWORD}
        other = (await api.post("/api/v1/auth/login", json=credentials)).json()["data"]
        await socket.send(json.dumps({"type": "refresh", "access_token": other["access_token"]}))
        assert (await told("error"))["code"] == "TOKEN_INVALID"
        headers = {"authorization": f"Bearer {new['access_token']}"}
        await api.post("/api/v1/auth/logout", headers=headers)
        await asyncio.wait_for(socket.wait_closed(), 4)
        assert (socket.close_code, socket.close_reason) == (4401, "session ended")

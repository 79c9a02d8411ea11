"""Event streams (J2): passed through as they come, and ended as sockets are (R53, R54)."""

import asyncio
import base64
import json
import signal
import time

import httpx2
import pytest
import websockets
from testkit.waiting import eventually

EVENT = b"id: c1\nevent: task.created\ndata: {}\n\n"
STREAM = "/api/v1/stream"


class Source:
    """A stand-in for the service's end: streams what it is told, until it is told to end."""

    def __init__(self):
        self.chunks = asyncio.Queue()
        self.gone = asyncio.Event()
        self.sent = 0

    async def __call__(self, _scope, _receive, send):
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            while (chunk := await self.chunks.get()) is not None:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                self.sent += 1
            await send({"type": "http.response.body", "body": b""})
        except BaseException:
            self.gone.set()
            raise

    def say(self, *chunks):
        for chunk in chunks:
            self.chunks.put_nowait(chunk)


@pytest.fixture
def source(services):
    found = Source()

    async def serve(scope, receive, send):
        served = asyncio.create_task(found(scope, receive, send))
        left = asyncio.create_task(left_by(receive))
        await asyncio.wait({served, left}, return_when=asyncio.FIRST_COMPLETED)
        if not served.done():
            served.cancel()
            await asyncio.wait({served})
        left.cancel()

    services.notifications.behave = serve
    return found


async def left_by(receive):
    while (await receive())["type"] != "http.disconnect":
        pass


class Reader:
    """A client of a stream."""

    def __init__(self, response):
        self.response = response
        self._chunks = response.aiter_bytes()
        self.read = b""

    async def until(self, text, *, seconds=30):
        async with asyncio.timeout(seconds):
            while text not in self.read:
                self.read += await anext(self._chunks)
        return self.read

    async def to_the_end(self, *, seconds=30):
        async with asyncio.timeout(seconds):
            async for chunk in self._chunks:
                self.read += chunk
        return self.read


def streaming(api, user, query="", **headers):
    return api.stream("GET", f"{STREAM}{query}", headers={**(user.headers if user else {}), **headers})


async def ticket_of(api, user):
    return (await api.post("/api/v1/ws-tickets", headers=user.headers)).json()["data"]["ticket"]


async def test_j2_events_go_through_as_they_come(api, user, source, services):
    async with streaming(api, user, "?scopes=me&filter=a%20b", **{"last-event-id": "c0"}) as response:
        assert (response.status_code, response.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["ratelimit"].startswith('"user";r=')
        assert response.headers["x-request-id"]
        reader = Reader(response)
        for number in range(3):
            event = b"id: %d\ndata: x\n\n" % number
            source.say(event)
            assert (await reader.until(event)).endswith(event)
        source.say(None)
        assert await reader.to_the_end() == b"".join(b"id: %d\ndata: x\n\n" % number for number in range(3))
    asked = services.notifications.last
    assert asked.target == f"{STREAM}?scopes=me&filter=a%20b"
    assert (asked.all("last-event-id"), len(asked.all("x-taskloom-identity"))) == (["c0"], 1)


async def test_r53_stream_by_ticket_once(api, user, source, services):
    ticket = await ticket_of(api, user)
    source.say(EVENT, None)
    async with streaming(api, None, f"?cursor=c&ticket={ticket}") as response:
        assert await Reader(response).to_the_end() == EVENT
    assert services.notifications.last.target == f"{STREAM}?cursor=c"
    answer = await api.get(f"{STREAM}?cursor=c&ticket={ticket}")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, "INVALID_TOKEN")


async def test_r53_ticket_of_a_socket_opens_a_stream_and_no_other_path(api, user, is_refused, services):
    ticket = await ticket_of(api, user)
    is_refused(await api.get(f"/api/v1/tasks?ticket={ticket}"), 401, "UNAUTHENTICATED")
    is_refused(await api.post(f"{STREAM}?ticket={ticket}"), 401, "UNAUTHENTICATED")
    assert services.notifications.requests == []
    assert (await api.get(f"{STREAM}?ticket={ticket}")).status_code == 200


async def test_r53_ticket_of_a_stream_is_not_logged(process, services, user, source):
    source.say(EVENT, None)
    async with httpx2.AsyncClient(base_url=process.url, timeout=60) as api:
        ticket = await ticket_of(api, user)
        assert (await api.get(f"{STREAM}?ticket={ticket}")).content == EVENT
        assert (await api.get(f"{STREAM}?ticket={ticket}")).status_code == 401

    async def logged():
        return "request.denied" in process.log.read_text()

    await eventually(logged)
    assert ticket not in process.log.read_text()


async def test_r53_stream_to_a_page_of_another_origin_403(api, user, is_refused, services):
    answer = await api.get(STREAM, headers={**user.headers, "origin": "https://evil.example"})
    is_refused(answer, 403, "ORIGIN_NOT_ALLOWED")
    assert services.notifications.requests == []
    answer = await api.get(STREAM, headers={**user.headers, "origin": "https://app.example"})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://app.example")


async def test_r53_stream_without_token_401(api, services, is_refused):
    answer = is_refused(await api.get(STREAM), 401, "UNAUTHENTICATED")
    assert answer["data"] is None
    assert services.notifications.requests == []


@pytest.mark.parametrize(("status", "code"), [(410, "CURSOR_EXPIRED"), (422, "INVALID_FILTER")])
async def test_j3_refusals_of_the_service_pass_as_they_are(api, user, services, reply, status, code):
    body = json.dumps({"success": False, "data": None, "errors": [{"code": code}], "meta": {}}).encode()

    async def refuse(_scope, _receive, send):
        await reply(send, status, body)

    services.notifications.behave = refuse
    answer = await api.get(STREAM, headers=user.headers)
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (status, body, "application/json")


async def test_j2_get_with_a_body_waits_for_nobody(api, user, services):
    answer = await api.request("GET", STREAM, headers=user.headers, content=b'{"a":1}')
    assert answer.status_code == 200
    assert services.notifications.last.all("content-length") == []


async def test_j2_service_that_is_down_503(start, closed_port, user, is_refused):
    async with start(notifications_url=f"http://127.0.0.1:{closed_port}") as gateway, gateway.client() as api:
        is_refused(await api.get(STREAM, headers=user.headers), 503, "UPSTREAM_UNAVAILABLE")


async def test_j2_client_that_goes_away_ends_the_request_to_the_service(api, user, source):
    source.say(EVENT)
    async with streaming(api, user) as response:
        reader = Reader(response)
        await reader.until(EVENT)
        assert not source.gone.is_set()
    await asyncio.wait_for(source.gone.wait(), 5)


async def test_j2_streams_are_no_load_of_the_service(start, auth, user, services, source):
    """300 streams that stay leave every place of the 256 that requests to a service have."""
    async with start(max_connections_per_address=1000, max_sockets_per_user=1000) as gateway:
        limits = httpx2.Limits(max_connections=None)
        async with gateway.client(limits=limits) as api:

            async def hold(number):
                await opening.acquire()
                async with streaming(api, user) as response:
                    opening.release()
                    assert response.status_code == 200
                    held.add(number)
                    await over.wait()

            held, over, opening = set(), asyncio.Event(), asyncio.Semaphore(10)
            holding = [asyncio.create_task(hold(number)) for number in range(300)]

            async def all_held():
                return len(held) == 300

            await eventually(all_held)
            services.notifications.behave = None
            answers = await asyncio.gather(*(api.get("/api/v1/ws", headers=user.headers) for _ in range(20)))
            assert {answer.status_code for answer in answers} == {200}
            over.set()
            await asyncio.gather(*holding)


async def test_r54_streams_and_sockets_count_together(api, gateway, auth, user, source, is_refused):
    sockets = [await websockets.connect(gateway.socket_url, additional_headers=user.headers) for _ in range(19)]
    source.say(EVENT)
    async with streaming(api, user) as response:
        reader = Reader(response)
        await reader.until(EVENT)
        refusal = await api.get(STREAM, headers=user.headers)
        is_refused(refusal, 429, "TOO_MANY_SOCKETS")
        assert refusal.headers["retry-after"] == "5"

    await asyncio.wait_for(source.gone.wait(), 5)

    async def free_again():
        answer = asyncio.create_task(api.get(STREAM, headers=user.headers))
        source.say(None)
        return (await answer).status_code == 200

    await eventually(free_again)
    for socket in sockets:
        await socket.close()


async def test_r54_revocation_ends_a_stream_within_two_seconds(api, auth, user, source):
    source.say(EVENT)
    async with streaming(api, user) as response:
        reader = Reader(response)
        await reader.until(EVENT)
        auth.revoke_session(user.session)
        assert await reader.to_the_end(seconds=2) == EVENT
    await asyncio.wait_for(source.gone.wait(), 2)


async def test_j7_token_that_expires_is_told_and_ends_the_stream(api, auth, source):
    user = auth.user(exp=int(time.time()) + 3)
    source.say(EVENT[:10], EVENT[10:])
    async with streaming(api, user) as response:
        reader = Reader(response)
        await reader.until(b"auth_expiring")
        await reader.until(b"}\n\n")
        first, rest = reader.read[: len(EVENT)], reader.read[len(EVENT) :]
        assert first == EVENT
        name, data, *end = rest.decode().split("\n")
        assert (name, end) == ("event: auth_expiring", ["", ""])
        told = json.loads(data.removeprefix("data: "))
        assert told.keys() == {"type", "expires_at"}
        assert told["type"] == "auth_expiring"
        source.say(b"data: after\n\n")
        assert (await reader.to_the_end()).endswith(b"data: after\n\n")
    assert 0 <= time.time() - user_expiry(user) < 2


def user_expiry(user):
    return json.loads(base64.urlsafe_b64decode(user.token.split(".")[1] + "=="))["exp"]


async def test_j7_nothing_is_put_into_the_middle_of_an_event(api, auth, source):
    user = auth.user(exp=int(time.time()) + 4)
    source.say(b"data: 1\n\ndata: 2")
    async with streaming(api, user) as response:
        reader = Reader(response)
        await reader.until(b"data: 2")
        source.say(b"2\n", b"\n")
        await reader.until(b"}\n\n")
        assert reader.read.startswith(b"data: 1\n\ndata: 22\n\nevent: auth_expiring\ndata: {")


async def test_r54_client_that_does_not_read_fills_no_memory(start, connect, user, source):
    """What nobody reads stays in the service, which is held up by it."""
    before, since = 0, time.monotonic()

    async def held_up():
        nonlocal before, since
        if source.sent != before:
            before, since = source.sent, time.monotonic()
        return before > 0 and time.monotonic() - since > 0.5

    async with start() as gateway, connect(gateway.port) as raw:
        token = user.headers["authorization"]
        await raw.send(f"GET {STREAM} HTTP/1.1\r\nhost: localhost\r\nauthorization: {token}\r\n\r\n".encode())
        source.say(*[b"data: " + b"x" * 60_000 + b"\n\n" for _ in range(1000)])
        await eventually(held_up, seconds=30)
        assert source.sent < 500
    await asyncio.wait_for(source.gone.wait(), 5)


async def test_r54_client_that_does_not_read_is_cut_off(start, connect, user, source):
    async with start(blocked_seconds=0.5) as gateway, connect(gateway.port) as raw:
        token = user.headers["authorization"]
        await raw.send(f"GET {STREAM} HTTP/1.1\r\nhost: localhost\r\nauthorization: {token}\r\n\r\n".encode())
        source.say(*[b"data: " + b"x" * 60_000 + b"\n\n" for _ in range(1000)])
        await asyncio.wait_for(source.gone.wait(), 15)


async def test_r63_stream_ends_in_order_at_shutdown(start_process, services, user, source):
    with start_process() as server:
        async with httpx2.AsyncClient(base_url=server.url, timeout=20) as api:

            async def recognises():
                return (await api.get("/api/v1/users/me", headers=user.headers)).status_code == 200

            await eventually(recognises)
            source.say(EVENT)
            async with streaming(api, user) as response:
                reader = Reader(response)
                await reader.until(EVENT)
                server.process.send_signal(signal.SIGTERM)
                ended = (await reader.to_the_end()).removeprefix(EVENT)
                assert ended.startswith(b"retry: ")
                assert 2000 <= int(ended[7:-2]) <= 7000
                assert ended.endswith(b"\n\n")

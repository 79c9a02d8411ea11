"""Second tries and breakers (R25, R26): what becomes of requests when a service fails."""

import asyncio
import contextlib
import time

import httpx2
import pytest
from testkit.servers import free_port
from testkit.waiting import eventually

PATH = "/api/v1/tasks"


class Script:
    """Answers one status after the other; the last one for ever."""

    def __init__(self, reply, *statuses):
        self.reply = reply
        self.statuses = list(statuses)

    async def __call__(self, _scope, _receive, send):
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        await self.reply(send, status)


RETRIED = [
    ("GET", {}),
    ("HEAD", {}),
    ("OPTIONS", {}),
    ("POST", {"idempotency-key": "k"}),
    ("PATCH", {"idempotency-key": "k"}),
]


@pytest.mark.parametrize(("method", "more"), RETRIED)
async def test_r25_second_try_after_502_or_503(start, user, tasks, reply, method, more):
    tasks.behave = Script(reply, 502 if method == "GET" else 503, 200)
    async with start() as gateway, gateway.client() as api:
        answer = await api.request(method, PATH, headers={**user.headers, **more})
    assert answer.status_code == 200
    assert len(tasks.requests) == 2


async def test_r25_small_body_is_sent_again_with_the_second_try(start, user, tasks, reply):
    bodies = []

    async def behave(_scope, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body")
        bodies.append(body)
        await reply(send, 503 if len(bodies) == 1 else 201)

    tasks.behave = behave
    headers = {**user.headers, "idempotency-key": "k", "content-type": "application/json"}
    async with start() as gateway, gateway.client() as api:
        answer = await api.post(PATH, content=b'{"title":"a"}', headers=headers)
    assert answer.status_code == 201
    assert bodies == [b'{"title":"a"}'] * 2
    assert tasks.last.all("idempotency-key") == ["k"]
    assert tasks.last.all("content-length") == ["13"]


@pytest.mark.parametrize(
    ("method", "more", "content"),
    [
        ("POST", {}, b""),
        ("PATCH", {}, b"{}"),
        ("DELETE", {}, b""),
        ("POST", {"idempotency-key": "k"}, b"x" * 100_000),
    ],
)
async def test_r25_no_second_try_where_it_could_act_twice(start, user, tasks, reply, method, more, content):
    tasks.behave = Script(reply, 503, 200)
    async with start() as gateway, gateway.client() as api:
        answer = await api.request(method, PATH, headers={**user.headers, **more}, content=content)
    assert answer.status_code == 503
    assert len(tasks.requests) == 1


async def test_r25_one_second_try_only_and_a_tenth_of_all(start, user, tasks, reply):
    async with start() as gateway, gateway.client() as api:
        tasks.behave = None
        for _ in range(20):
            await api.get(PATH, headers=user.headers)
        tasks.requests.clear()
        tasks.behave = Script(reply, 503, 503, 200)
        assert (await api.get(PATH, headers=user.headers)).status_code == 503
        assert len(tasks.requests) == 2
        seen = []
        for _ in range(4):
            tasks.requests.clear()
            tasks.behave = Script(reply, 503, 200)
            seen.append(((await api.get(PATH, headers=user.headers)).status_code, len(tasks.requests)))
    assert seen == [(200, 2), (200, 2), (503, 1), (503, 1)]


async def test_r25_second_try_after_a_failed_connection(start, user):
    """Nobody listens at first; the second try finds the service."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    port = free_port()
    async with start(tasks_url=f"http://127.0.0.1:{port}") as gateway, gateway.client() as api:
        asking = asyncio.create_task(api.get(PATH, headers=user.headers))
        # The first try fails within a few turns of the loop, and the second comes 50 ms later at the earliest.
        await asyncio.wait({asking}, timeout=0.04)
        async with await asyncio.start_server(serve, "127.0.0.1", port):
            answer = await asking
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("method", "more", "times"),
    [
        ("DELETE", {}, 1),
        ("PUT", {}, 1),
        ("POST", {}, 1),
        ("PUT", {"idempotency-key": "k"}, 2),
        ("GET", {}, 2),
        ("HEAD", {}, 2),
    ],
)
async def test_r25_kept_connection_that_drops_after_the_service_has_acted(
    other_service, user, is_refused, method, more, times
):
    seen, connections = [], []

    async def serve(reader, writer):
        """Answer the first request of a connection; act on the second, and drop it."""
        connections.append(writer)
        for turn in range(2):
            with contextlib.suppress(asyncio.IncompleteReadError):
                seen.append((await reader.readuntil(b"\r\n\r\n")).split()[0].decode())
                if turn == 0:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with other_service(serve) as api:
        assert (await api.get(PATH, headers=user.headers)).status_code == 200
        assert len(connections) == 1
        answer = await api.request(method, PATH, headers={**user.headers, **more})
        if times == 1:
            is_refused(answer, 503, "UPSTREAM_UNAVAILABLE")
        else:
            assert answer.status_code == 200
        assert seen == ["GET", *[method] * times]
        assert len(connections) == times


async def test_r26_service_that_is_down_503_at_once_and_found_again(closed_port, start, services, user, is_refused):
    """Five failures open the breaker; after two seconds one probe closes it."""
    async with start(tasks_url=f"http://127.0.0.1:{closed_port}") as gateway, gateway.client() as api:
        for _ in range(5):
            answer = await api.post(PATH, headers=user.headers)
            is_refused(answer, 503, "UPSTREAM_UNAVAILABLE")
            assert answer.headers["retry-after"] == "2"
        took = []
        for _ in range(5):
            began = time.perf_counter()
            answer = await api.get(PATH, headers=user.headers)
            took.append(time.perf_counter() - began)
            is_refused(answer, 503, "UPSTREAM_UNAVAILABLE")
            assert answer.headers["retry-after"] == "2"
        assert min(took) < 0.02
        assert (await api.get("/api/v1/users/me", headers=user.headers)).status_code == 200


async def test_r26_breaker_opens_after_five_failures_and_one_probe_closes_it(start, user, tasks, reply):
    tasks.behave = Script(reply, 503)
    async with start() as gateway, gateway.client() as api:

        async def ask():
            return (await api.post(PATH, headers=user.headers)).status_code

        assert [await ask() for _ in range(8)] == [503] * 8
        assert len(tasks.requests) == 5
        loop = asyncio.get_running_loop()
        opened = loop.time()

        async def probed():
            await ask()
            return len(tasks.requests) > 5

        await eventually(probed, seconds=4)
        assert 1.5 < loop.time() - opened < 3
        assert len(tasks.requests) == 6
        tasks.behave = None

        async def closed():
            return await ask() == 200

        await eventually(closed, seconds=4)
        assert len(tasks.requests) == 7
        tasks.behave = Script(reply, 503, 200)
        assert [await ask() for _ in range(3)] == [503, 200, 200]


async def test_r26_a_service_that_waits_in_vain_for_another_does_not_open_the_breaker(start, user, tasks, reply):
    tasks.behave = lambda _scope, _receive, send: reply(send, 504, b'{"success":false,"data":null}')
    async with start() as gateway, gateway.client() as api:
        answers = [await api.post(PATH, headers=user.headers) for _ in range(25)]
    assert [answer.status_code for answer in answers] == [504] * 25
    assert answers[-1].content == b'{"success":false,"data":null}'
    assert len(tasks.requests) == 25


async def test_r26_half_of_twenty_failures_opens_the_breaker(start, user, tasks, reply):
    tasks.behave = Script(reply, *[200, 503] * 10, 200)
    async with start() as gateway, gateway.client() as api:
        statuses = [(await api.post(PATH, headers=user.headers)).status_code for _ in range(22)]
    assert statuses == [200, 503] * 10 + [503, 503]
    assert len(tasks.requests) == 20


async def test_r26_no_more_than_256_in_flight_and_no_queue(start, user, services, reply):
    # Uploads may take half a minute, so that none of those that wait ends before all are there.
    path, attachments = f"{PATH}/x/attachments", services.attachments
    go = asyncio.Event()

    async def hold(_scope, _receive, send):
        await go.wait()
        await reply(send)

    attachments.behave = hold
    limits = httpx2.Limits(max_connections=400)
    async with start(max_connections_per_address=1000) as gateway, gateway.client(limits=limits) as api:
        asking = [asyncio.create_task(api.post(path, headers=user.headers)) for _ in range(256)]

        async def full():
            return len(attachments.requests) == 256

        await eventually(full, seconds=20)
        refused = await asyncio.gather(*(api.post(path, headers=user.headers) for _ in range(5)))
        assert [(r.status_code, r.json()["errors"][0]["code"]) for r in refused] == [(503, "UPSTREAM_UNAVAILABLE")] * 5
        assert refused[0].headers["retry-after"] == "2"
        go.set()
        assert {answer.status_code for answer in await asyncio.gather(*asking)} == {200}
        assert len(attachments.requests) == 256
        assert (await api.post(path, headers=user.headers)).status_code == 200

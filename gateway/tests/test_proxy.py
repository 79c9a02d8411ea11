"""Forwarding (R20, R25, R26): what goes through, how long it may take, and what becomes of failures."""

import asyncio
import contextlib
import hashlib
import time
import tracemalloc

import httpx2
import pytest
from testkit.servers import free_port
from testkit.waiting import eventually

PATH = "/api/v1/tasks"
MB = 1024 * 1024


def bearer(user):
    return f"Authorization: Bearer {user.token}".encode()


async def start_answer(send, status=200, headers=()):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def part(send, body, *, more=True):
    await send({"type": "http.response.body", "body": body, "more_body": more})


class Script:
    """Answers one status after the other; the last one for ever."""

    def __init__(self, reply, *statuses):
        self.reply = reply
        self.statuses = list(statuses)

    async def __call__(self, _scope, _receive, send):
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        await self.reply(send, status)


async def test_r25_upload_flows_in_bounded_memory_and_is_not_collected(gateway, services, user):
    seen = {"first": asyncio.Event(), "bytes": 0, "digest": hashlib.sha256()}

    async def read_on(_scope, receive, send):
        more = True
        while more:
            message = await receive()
            seen["bytes"] += len(message.get("body", b""))
            seen["digest"].update(message.get("body", b""))
            more = message.get("more_body")
            seen["first"].set()
        await start_answer(send, 201)
        await part(send, b"{}", more=False)

    services.attachments.behave = read_on
    block = bytes(range(256)) * 1024

    async def blocks():
        yield block
        # Nothing more is sent before the service has the beginning.
        await asyncio.wait_for(seen["first"].wait(), 5)
        for _ in range(79):
            yield block

    async with gateway.client() as api:
        tracemalloc.start()
        answer = await api.post(f"{PATH}/x/attachments", content=blocks(), headers=user.headers)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert answer.status_code == 201
    assert seen["bytes"] == 20 * MB
    assert seen["digest"].digest() == hashlib.sha256(block * 80).digest()
    assert peak < 8 * MB


async def test_r25_download_flows_in_bounded_memory_and_begins_before_it_ends(gateway, services, user):
    received_first = asyncio.Event()
    block = bytes(range(256)) * 1024

    async def send_on(_scope, _receive, send):
        await start_answer(send, 200, [(b"content-length", b"%d" % (len(block) * 80))])
        await part(send, block)
        await asyncio.wait_for(received_first.wait(), 5)
        for _ in range(79):
            await part(send, block)
        await part(send, b"", more=False)

    services.attachments.behave = send_on
    digest, size = hashlib.sha256(), 0
    async with gateway.client() as api:
        tracemalloc.start()
        async with api.stream("GET", "/api/v1/attachments/x/content", headers=user.headers) as answer:
            async for chunk in answer.aiter_raw():
                received_first.set()
                digest.update(chunk)
                size += len(chunk)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert size == 20 * MB
    assert digest.digest() == hashlib.sha256(block * 80).digest()
    assert peak < 8 * MB


@pytest.mark.parametrize("chunked", [False, True])
async def test_r16_body_too_large_413(api, user, services, is_refused, chunked):
    async def chunks():
        for _ in range(17):
            yield b"x" * 65536

    content = chunks() if chunked else b"x" * (MB + 1)
    headers = {**user.headers, "content-type": "application/json"}
    answer = await api.post(PATH, content=content, headers=headers)
    is_refused(answer, 413, "PAYLOAD_TOO_LARGE")
    assert answer.headers["connection"] == "close"
    if not chunked:
        assert services.tasks.requests == []


async def test_r16_body_as_large_as_allowed_200(api, user, tasks):
    answer = await api.post(PATH, content=b"x" * MB, headers={**user.headers, "content-type": "application/json"})
    assert answer.status_code == 200
    assert len(tasks.last.body) == MB


async def test_r16_upload_larger_than_an_upload_may_be_413(start, services, user, is_refused):
    async with start(max_upload_bytes=2 * MB) as gateway, gateway.client() as api:
        answer = await api.post(f"{PATH}/x/attachments", content=b"x" * (2 * MB + 1), headers=user.headers)
        is_refused(answer, 413, "PAYLOAD_TOO_LARGE")
    assert services.attachments.requests == []


async def test_p2_a_file_of_an_import_may_be_larger_than_an_upload_and_not_than_its_own_limit(
    start, services, user, is_refused
):
    headers = {**user.headers, "content-type": "application/x-ndjson"}
    async with start(max_upload_bytes=MB, max_import_bytes=2 * MB) as gateway, gateway.client() as api:
        answer = await api.post("/api/v1/imports", content=b"x" * (2 * MB), headers=headers)
        assert (answer.status_code, len(services.tasks.last.body)) == (200, 2 * MB)
        answer = await api.post("/api/v1/imports", content=b"x" * (2 * MB + 1), headers=headers)
        is_refused(answer, 413, "PAYLOAD_TOO_LARGE")
    assert len(services.tasks.requests) == 1


async def test_r16_body_to_the_gateway_itself_is_limited_413(api, user, is_refused):
    async def chunks():
        for _ in range(20):
            yield b"x" * 65536

    for content in (b"x" * (MB + 1), chunks()):
        is_refused(
            await api.post("/api/v1/ws-tickets", content=content, headers=user.headers), 413, "PAYLOAD_TOO_LARGE"
        )


async def test_r16_refused_body_that_waits_for_consent_is_never_asked_for(gateway, connect, user):
    async with connect(gateway.port) as raw:
        fields = [b"POST /api/v1/tasks HTTP/1.1", b"Host: localhost", bearer(user), b"Content-Length: 2000000"]
        await raw.send(b"\r\n".join([*fields, b"Expect: 100-continue", b"", b""]))
        answer = await raw.answer(seconds=3)
        assert (answer.status, answer.code) == (413, "PAYLOAD_TOO_LARGE")


async def test_r16_body_slower_than_a_kilobyte_a_second_408(gateway, connect, user, tasks):
    await asyncio.gather(*(send_slowly(gateway, connect, user, declared) for declared in (1000, 200_000)))
    # The small one is collected first, so the service never hears of it.
    assert len(tasks.requests) == 1


async def send_slowly(gateway, connect, user, declared):
    async with connect(gateway.port) as raw:
        began = time.monotonic()
        fields = [b"POST /api/v1/tasks HTTP/1.1", b"Host: localhost", bearer(user), b"Content-Length: %d" % declared]
        await raw.send(b"\r\n".join([*fields, b"", b""]) + b"x" * 100)
        answer = await raw.answer(seconds=9)
        assert (answer.status, answer.code) == (408, "BODY_TIMEOUT")
        assert answer.headers["connection"] == "close"
        assert 4.5 < time.monotonic() - began < 8
        assert await raw.is_closed()


async def test_r26_clients_that_fail_do_not_open_the_breaker(start, connect, services, user):
    """Uploads that are broken off say nothing of the service that was to have them."""
    async with start() as gateway:
        for _ in range(8):
            async with connect(gateway.port) as raw:
                fields = [b"POST /api/v1/tasks HTTP/1.1", b"Host: localhost", bearer(user), b"Content-Length: 200000"]
                seen = len(services.tasks.requests)
                await raw.send(b"\r\n".join([*fields, b"", b""]) + b"x" * 70_000)

                async def arrived(seen=seen):
                    return len(services.tasks.requests) > seen

                await eventually(arrived)
        async with gateway.client() as api:
            assert (await api.get(PATH, headers=user.headers)).status_code == 200


@pytest.mark.parametrize("status", [400, 404, 409, 418, 422, 500, 501, 504, 507])
async def test_r25_answers_of_the_service_pass_as_they_are(api, user, tasks, reply, status):
    tasks.behave = lambda _scope, _receive, send: reply(send, status, b'{"its":"own"}')
    answer = await api.get(PATH, headers=user.headers)
    assert (answer.status_code, answer.content) == (status, b'{"its":"own"}')
    assert len(tasks.requests) == 1


async def test_k3_one_click_of_a_mail_program_reaches_the_service_as_it_is(api, services):
    """RFC 8058: a form, from somewhere, without a token; the link itself says who it is for."""
    answer = await api.post("/api/v1/unsubscribe?token=abc", data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    asked = services.notifications.last
    assert (asked.method, asked.target) == ("POST", "/api/v1/unsubscribe?token=abc")
    assert (asked.body, asked.all("content-type")) == (
        b"List-Unsubscribe=One-Click",
        ["application/x-www-form-urlencoded"],
    )
    assert asked.all("x-taskloom-identity") == []


async def test_r25_redirects_are_passed_and_not_followed(api, user, tasks, reply):
    location = [(b"location", b"http://127.0.0.1:1/elsewhere")]
    tasks.behave = lambda _scope, _receive, send: reply(send, 302, b"", location)
    answer = await api.get(PATH, headers=user.headers)
    assert (answer.status_code, answer.headers["location"]) == (302, "http://127.0.0.1:1/elsewhere")
    assert len(tasks.requests) == 1


async def test_r25_nothing_is_decompressed(gateway, connect, user, tasks, reply):
    packed = b"\x1f\x8b not really"
    fields = [(b"content-encoding", b"gzip")]
    tasks.behave = lambda _scope, _receive, send: reply(send, 200, packed, fields)
    async with connect(gateway.port) as raw:
        await raw.send(b"\r\n".join([b"GET /api/v1/tasks HTTP/1.1", b"Host: localhost", bearer(user), b"", b""]))
        answer = await raw.answer()
    assert (answer.body, answer.headers["content-encoding"]) == (packed, "gzip")


async def test_r25_head_304_and_204_have_no_body_and_keep_the_connection(gateway, connect, user, tasks, reply):
    async def behave(scope, _receive, send):
        if scope["method"] == "HEAD":
            await start_answer(send, 200, [(b"content-length", b"1234"), (b"etag", b'"7"')])
            await part(send, b"", more=False)
        else:
            await reply(send, int(scope["path"][-3:]), b"", [(b"etag", b'"7"')])

    tasks.behave = behave
    async with connect(gateway.port) as raw:
        for line, status in (
            (b"HEAD /api/v1/tasks/1", 200),
            (b"GET /api/v1/tasks/304", 304),
            (b"DELETE /api/v1/tasks/204", 204),
        ):
            await raw.send(b"\r\n".join([line + b" HTTP/1.1", b"Host: localhost", bearer(user), b"", b""]))
            answer = await raw.answer(head=line.startswith(b"HEAD"))
            assert (answer.status, answer.headers["etag"]) == (status, '"7"')
            assert "transfer-encoding" not in answer.headers
            assert answer.headers.get("content-length") == ("1234" if status == 200 else None)


async def test_r25_not_modified_with_a_length_304(connect, user, other_service):
    """RFC 9110 lets a 304 say how long the body would be; it has none all the same."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 304 Not Modified\r\nContent-Length: 55\r\nETag: "1"\r\n\r\n')
        await writer.drain()

    async with other_service(serve) as api, connect(api.gateway.port) as raw:
        await raw.send(b"\r\n".join([b"GET /api/v1/tasks HTTP/1.1", b"Host: localhost", bearer(user), b"", b""]))
        answer = await raw.answer()
        assert (answer.status, answer.headers["etag"]) == (304, '"1"')


async def test_r25_hop_by_hop_fields_end_here(user, other_service):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Secret\r\nX-Secret: a\r\nKeep-Alive: timeout=5\r\n"
            b"Proxy-Authenticate: Basic\r\nTrailer: X-T\r\nUpgrade: h2c\r\nServer: private/1.0\r\nX-Kept: 1\r\n"
            b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\n{}"
        )
        await writer.drain()

    async with other_service(serve) as api:
        answer = await api.get(PATH, headers=user.headers)
    names = {name for name, _ in answer.headers.multi_items()}
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert answer.headers["x-kept"] == "1"
    assert names.isdisjoint({"x-secret", "keep-alive", "proxy-authenticate", "trailer", "upgrade", "server"})


@pytest.mark.parametrize(
    "beginning",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 1000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + b"x" * 1000 + b"\r\n",
    ],
    ids=["length", "chunks"],
)
async def test_r25_answer_that_breaks_off_breaks_off_for_the_client_too(other_service, user, beginning):
    asked = []
    has_begun = asyncio.Event()

    async def serve(reader, writer):
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(beginning)
        await has_begun.wait()
        writer.close()

    async with other_service(serve) as api:
        with pytest.raises(httpx2.RemoteProtocolError):
            async with api.stream("GET", PATH, headers=user.headers) as answer:
                assert answer.status_code == 200
                has_begun.set()
                await answer.aread()
        assert len(asked) == 1


@pytest.mark.parametrize(
    ("beginning", "status", "code"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", 502, "UPSTREAM_FAILED"),
        (b"HTTP/1.1 200 OK\r\nContent-", 502, "UPSTREAM_FAILED"),
        (b"nonsense\r\n\r\n", 502, "UPSTREAM_FAILED"),
        (b"", 503, "UPSTREAM_UNAVAILABLE"),
    ],
)
async def test_r25_answer_that_never_really_began_is_a_refusal(
    other_service, user, is_refused, beginning, status, code
):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(beginning)
        await writer.drain()
        writer.close()

    async with other_service(serve) as api:
        answer = await api.post(PATH, headers=user.headers)
        if beginning.endswith(b"Content-"):
            assert answer.status_code in (502, 503)
        else:
            is_refused(answer, status, code)


async def test_r25_service_that_does_not_answer_504_after_three_seconds(start, services, user, is_refused):
    services.tasks.behave = lambda *_: asyncio.sleep(8)
    async with start() as gateway, gateway.client() as api:
        began = time.monotonic()
        is_refused(await api.get(PATH, headers=user.headers), 504, "UPSTREAM_TIMEOUT")
        assert 2.5 < time.monotonic() - began < 4.5
        assert len(services.tasks.requests) == 1


async def test_r25_a_write_that_can_not_be_sent_again_is_waited_for(start, services, user, is_refused, reply):
    async def late(_scope, _receive, send):
        await asyncio.sleep(4)
        await reply(send, 200, b"{}")

    services.tasks.behave = late
    undo, key = "/api/v1/operations/0199d3b2-7fe0-7a10-9c41-5e2b7d904c33/undo", {"idempotency-key": "k"}
    async with start() as gateway, gateway.client() as api:
        plain, keyed, *many = await asyncio.gather(
            api.post(PATH, json={}, headers=user.headers),
            api.post(PATH, json={}, headers={**user.headers, **key}),
            api.post(f"{PATH}/bulk", json={"operations": []}, headers={**user.headers, **key}),
            api.post(undo, headers={**user.headers, **key}),
        )
    assert plain.status_code == 200
    is_refused(keyed, 504, "UPSTREAM_TIMEOUT")
    assert [one.status_code for one in many] == [200, 200]
    assert len(services.tasks.requests) == 4


async def test_r25_client_that_goes_away_ends_the_request_to_the_service(gateway, connect, services, user):
    disconnected = asyncio.Event()

    async def wait_for_the_end(_scope, receive, _send):
        while (await receive())["type"] != "http.disconnect":
            pass
        disconnected.set()

    services.tasks.behave = wait_for_the_end
    async with connect(gateway.port) as raw:
        await raw.send(b"\r\n".join([b"GET /api/v1/tasks HTTP/1.1", b"Host: localhost", bearer(user), b"", b""]))

        async def arrived():
            return services.tasks.requests

        await eventually(arrived)
    await asyncio.wait_for(disconnected.wait(), 2)


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


@pytest.fixture
def other_service(start):
    """A gateway whose tasks service is a bare socket."""

    @contextlib.asynccontextmanager
    async def other_service(serve):
        async def serve_and_close(reader, writer):
            await serve(reader, writer)
            writer.close()

        listening = await asyncio.start_server(serve_and_close, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        async with start(tasks_url=f"http://127.0.0.1:{port}") as gateway, gateway.client() as api:
            api.gateway = gateway
            yield api
        listening.close()
        await listening.wait_closed()

    return other_service

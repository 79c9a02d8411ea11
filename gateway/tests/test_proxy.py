"""Forwarding (R20, R25, R26): what goes through, how long it may take, and what becomes of failures."""

import asyncio
import hashlib
import time
import tracemalloc

import httpx2
import pytest
from testkit.waiting import eventually

PATH = "/api/v1/tasks"
MB = 1024 * 1024


def bearer(user):
    return f"Authorization: Bearer {user.token}".encode()


async def test_r65_a_request_is_told_of_in_one_line(api, user, tasks, lines_of_requests):
    ids = {"x-request-id": "my-request-1", "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
    await api.get(f"{PATH}/1", headers={**user.headers, **ids})

    async def written():
        return lines_of_requests()

    [line] = await eventually(written)
    assert line.pop("ms") >= 0
    assert line.pop("at").endswith("Z")
    assert line == {
        "event": "request.served",
        "method": "GET",
        "route": "/api/v1/tasks/*",
        "status": 200,
        "level": "info",
        "service": "sample",
        "request_id": "my-request-1",
        "trace_id": "ab" * 16,
    }


async def start_answer(send, status=200, headers=()):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def part(send, body, *, more=True):
    await send({"type": "http.response.body", "body": body, "more_body": more})


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


async def test_r16_body_to_the_gateway_itself_may_be_sent_to_its_end_before_its_refusal_is_read_413(
    gateway, connect, user
):
    size = 8 * MB
    async with connect(gateway.port) as raw:
        fields = [b"POST /api/v1/ws-tickets HTTP/1.1", b"Host: localhost", bearer(user), b"Content-Length: %d" % size]
        await raw.send(b"\r\n".join([*fields, b"", b""]) + b"x" * size)
        answer = await raw.answer(seconds=10)
        assert (answer.status, answer.code) == (413, "PAYLOAD_TOO_LARGE")


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

"""What arrives on a connection (R16, R17): raw bytes against a gateway in a process of its own, on uvloop."""

import asyncio
import contextlib
import time

import pytest
from testkit.waiting import eventually

HOST = b"Host: localhost\r\n"
OK = b"GET /api/v1/meta/errors HTTP/1.1\r\n" + HOST + b"\r\n"


def request(*lines, body=b""):
    return b"\r\n".join([*lines, b"", b""]) + body


def get(*fields, target=b"/api/v1/meta/errors", version=b"HTTP/1.1", host=b"Host: localhost"):
    return request(b"GET %b %b" % (target, version), *([host] if host else []), *fields)


def post(*fields, body=b""):
    return request(b"POST /api/v1/auth/login HTTP/1.1", b"Host: localhost", *fields, body=body)


CHUNKED = b"Transfer-Encoding: chunked"
MALFORMED = {
    "no Host": get(host=None),
    "two Hosts": get(b"Host: localhost"),
    "two different Hosts": get(b"Host: evil.example"),
    "absolute-form target": get(target=b"http://localhost/api/v1/meta/errors"),
    "absolute-form target of another host": get(target=b"http://evil.example/"),
    "authority-form target": get(target=b"localhost:80"),
    "asterisk-form target": request(b"OPTIONS * HTTP/1.1", b"Host: localhost"),
    "fragment in the target": get(target=b"/docs#x"),
    "no target": get(target=b""),
    "space in the target": get(target=b"/a b"),
    "high byte in the target": get(target=b"/\xff"),
    "high byte in the query": get(target=b"/docs?\xff"),
    "CONNECT": request(b"CONNECT localhost:443 HTTP/1.1", b"Host: localhost"),
    "CONNECT of a path": request(b"CONNECT /docs HTTP/1.1", b"Host: localhost"),
    "TRACE": request(b"TRACE /docs HTTP/1.1", b"Host: localhost"),
    "unknown method": request(b"BREW /docs HTTP/1.1", b"Host: localhost"),
    "method in lower case": request(b"get /docs HTTP/1.1", b"Host: localhost"),
    "HTTP/0.9": b"GET /docs\r\n\r\n",
    "HTTP/1.0 with keep-alive": get(b"Connection: keep-alive", version=b"HTTP/1.0"),
    "HTTP/1.0 with chunks": request(
        b"POST /api/v1/auth/login HTTP/1.0", b"Host: localhost", CHUNKED, body=b"0\r\n\r\n"
    ),
    "HTTP/2 without negotiation": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2.0": get(version=b"HTTP/2.0"),
    "HTTP/1.2": get(version=b"HTTP/1.2"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    "Content-Length and chunks": post(b"Content-Length: 3", CHUNKED, body=b"0\r\n\r\n"),
    "chunks and Content-Length": post(CHUNKED, b"Content-Length: 3", body=b"0\r\n\r\n"),
    "two Content-Lengths": post(b"Content-Length: 2", b"Content-Length: 2", body=b"{}"),
    "a list of Content-Lengths": post(b"Content-Length: 2, 2", body=b"{}"),
    "Content-Length with a sign": post(b"Content-Length: +2", body=b"{}"),
    "negative Content-Length": post(b"Content-Length: -2", body=b"{}"),
    "hexadecimal Content-Length": post(b"Content-Length: 0x2", body=b"{}"),
    "empty Content-Length": post(b"Content-Length: ", body=b"{}"),
    "endless Content-Length": post(b"Content-Length: " + b"9" * 40, body=b"{}"),
    "TE gzip": post(b"Transfer-Encoding: gzip", body=b"0\r\n\r\n"),
    "TE gzip, chunked": post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "TE chunked, gzip": post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"),
    "TE identity": post(b"Transfer-Encoding: identity"),
    "TE xchunked": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "TE Chunked": post(b"Transfer-Encoding: Chunked", body=b"0\r\n\r\n"),
    "TE twice": post(CHUNKED, CHUNKED, body=b"0\r\n\r\n"),
    "TE behind a vertical tab": post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "chunk size that is none": post(CHUNKED, body=b"zz\r\nab\r\n0\r\n\r\n"),
    "chunk size too large": post(CHUNKED, body=b"f" * 17 + b"\r\nab\r\n0\r\n\r\n"),
    "chunk longer than its size": post(CHUNKED, body=b"2\r\nabX\r\n0\r\n\r\n"),
    "chunk size ended by a bare LF": post(CHUNKED, body=b"2\nab\r\n0\r\n\r\n"),
    "bare LF after the request line": b"GET /docs HTTP/1.1\nHost: localhost\r\n\r\n",
    "bare LF after a field": b"GET /docs HTTP/1.1\r\nHost: localhost\n\r\n",
    "bare CR in a field": get(b"X-A: b\rc"),
    "folded field": get(b"X-A: b", b" c"),
    "space before the colon": get(b"X-A : b"),
    "space before the first field": request(b"GET /docs HTTP/1.1", b" Host: localhost"),
    "field without a name": get(b": b"),
    "field without a colon": get(b"X-A"),
    "underscore in a name": get(b"X_A: b"),
    "parenthesis in a name": get(b"X(A: b"),
    "NUL in a value": get(b"X-A: b\0c"),
    "control character in a value": get(b"X-A: b\x01c"),
    "DEL in a value": get(b"X-A: b\x7fc"),
    "Upgrade to HTTP/2": get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAA"),
    "Upgrade without Connection": get(b"Upgrade: h2c"),
    "Upgrade to a WebSocket elsewhere": get(
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ),
    "WebSocket without a key": get(
        b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", target=b"/api/v1/ws"
    ),
    "WebSocket of an old version": get(
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 8",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        target=b"/api/v1/ws",
    ),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
async def test_r17_malformed_400_and_closed(process, services, connect, data):
    async with connect(process.port) as raw:
        await raw.send(data)
        answer = await raw.answer()
        assert (answer.status, answer.code) == (400, "MALFORMED_REQUEST")
        assert answer.headers["connection"] == "close"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["ratelimit-policy"].startswith('"anonymous"')
        assert "server" not in answer.headers
        assert await raw.is_closed()
    assert services.auth.requests == []


def handshake(*fields, target=b"/api/v1/ws"):
    return get(
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *fields,
        target=target,
    )


CODES = {400: "MALFORMED_REQUEST", 401: "UNAUTHENTICATED", 414: "TARGET_TOO_LONG", 431: "HEADERS_TOO_LARGE"}
UNREADABLE_HANDSHAKES = {
    "a field as long as may be": (handshake(b"A: " + b"x" * 8187), 401),
    "a field longer by one": (handshake(b"A: " + b"x" * 8188), 431),
    "a field of 8 KiB": (handshake(b"Authorization: " + b"x" * 8192), 431),
    "a field of 30 KiB": (handshake(b"A: " + b"x" * 30_000), 431),
    "a target as long as may be": (handshake(target=b"/api/v1/ws?x=" + b"x" * 8164), 401),
    "a target longer by one": (handshake(target=b"/api/v1/ws?x=" + b"x" * 8165), 414),
    "a target of 30 KiB": (handshake(target=b"/api/v1/ws?x=" + b"x" * 30_000), 414),
    "a hundred fields": (handshake(*[b"A: x"] * 95), 401),
    "a field more than a hundred": (handshake(*[b"A: x"] * 96), 431),
    "200 fields": (handshake(*[b"A: x"] * 200), 431),
    "a high byte in the path": (handshake(target=b"/api/v1/ws\xff"), 400),
    "a high byte in the query": (handshake(target=b"/api/v1/ws?x=\xff"), 400),
    "a high byte in a field": (handshake(b"A: \xff"), 401),
    "an underscore in a name": (handshake(b"A_B: x"), 400),
    "a parenthesis in a name": (handshake(b"A(B: x"), 400),
    "a NUL in a value": (handshake(b"A: x\0"), 400),
    "the key twice": (handshake(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400),
    "the version twice": (handshake(b"Sec-WebSocket-Version: 13"), 400),
    "Upgrade twice": (handshake(b"Upgrade: websocket"), 400),
    "Origin twice": (handshake(b"Origin: http://a", b"Origin: http://b"), 400),
    "subprotocols that are none": (handshake(b"Sec-WebSocket-Protocol: a b"), 400),
    "an empty list of subprotocols": (handshake(b"Sec-WebSocket-Protocol: ,,,"), 400),
    "extensions that are none": (handshake(b"Sec-WebSocket-Extensions: ;;;"), 401),
    "another method": (handshake().replace(b"GET", b"POST", 1), 400),
    "a body": (handshake(b"Content-Length: 2") + b"{}", 400),
    "an empty body": (handshake(b"Content-Length: 0"), 401),
    "chunks": (handshake(CHUNKED) + b"2\r\n{}\r\n0\r\n\r\n", 400),
}


@pytest.mark.parametrize(("data", "status"), UNREADABLE_HANDSHAKES.values(), ids=UNREADABLE_HANDSHAKES)
async def test_r16_handshake_is_answered_whatever_it_is_and_never_left_open(process, connect, services, data, status):
    async with connect(process.port) as raw:
        await raw.send(data)
        answer = await raw.answer(seconds=3)
        assert (answer.status, answer.code) == (status, CODES[status])
        assert answer.headers["ratelimit-policy"].startswith('"anonymous"')
        assert await raw.is_closed()
    assert services.notifications.sockets == []


async def test_r17_connection_is_as_good_as_new_after_a_whole_request(process, connect):
    async with connect(process.port) as raw:
        for data in (OK, b"\r\n" + OK, OK + OK):
            await raw.send(data)
        for _ in range(4):
            assert (await raw.answer()).status == 200


async def test_r17_answer_under_way_is_finished_before_a_malformed_request_ends_it(process, connect, services, reply):
    go = asyncio.Event()

    async def slowly(_scope, _receive, send):
        await go.wait()
        await reply(send, 200, b'{"a":1}')

    services.auth.behave = slowly
    async with connect(process.port) as raw:
        await raw.send(post(b"Content-Length: 2", body=b"{}") + b"nonsense\r\n\r\n")

        async def arrived():
            return services.auth.requests

        await eventually(arrived)
        go.set()
        answer = await raw.answer()
        assert (answer.status, answer.body) == (200, b'{"a":1}')
        assert await raw.is_closed()


async def test_r17_trailers_are_not_taken_for_fields(process, connect, services, auth, user):
    trailer = b"Authorization: Bearer " + user.token.encode()
    body = b"2\r\n{}\r\n0\r\n" + trailer + b"\r\n\r\n"
    async with connect(process.port) as raw:
        await raw.send(request(b"POST /api/v1/tasks HTTP/1.1", b"Host: localhost", CHUNKED, body=body))
        answer = await raw.answer()
    assert (answer.status, answer.code) == (401, "UNAUTHENTICATED")
    assert services.tasks.requests == []


async def test_r18_unknown_host_421(process, connect):
    for host in (b"evil.example", b"localhost.evil.example", b"localhost:80:80", b"", b"127.0.0.1@evil"):
        async with connect(process.port) as raw:
            await raw.send(get(host=b"Host: " + host))
            answer = await raw.answer()
            assert (answer.status, answer.code) == (421, "MISDIRECTED_HOST")
            assert answer.headers["ratelimit"].startswith('"anonymous";r=')


async def test_r18_host_may_have_a_port_and_any_case_200(process, connect):
    for host in (b"localhost", b"LOCALHOST:8080", b"127.0.0.1:1", b"[::1]:8080"):
        async with connect(process.port) as raw:
            await raw.send(get(host=b"Host: " + host))
            assert (await raw.answer()).status == 200


LARGE = {
    "a field of 8 KiB and a byte": (get(b"X-A: " + b"a" * 8193), 431, "HEADERS_TOO_LARGE"),
    "more than 32 KiB in fields": (get(*[b"X-%d: " % n + b"a" * 4000 for n in range(9)]), 431, "HEADERS_TOO_LARGE"),
    "101 fields": (get(*[b"X-%d: a" % n for n in range(100)]), 431, "HEADERS_TOO_LARGE"),
    "a target of 8 KiB and a byte": (get(target=b"/" + b"a" * 8192), 414, "TARGET_TOO_LONG"),
    "a query of 8 KiB": (get(target=b"/docs?" + b"a" * 8192), 414, "TARGET_TOO_LONG"),
}


@pytest.mark.parametrize(("data", "status", "code"), LARGE.values(), ids=LARGE)
async def test_r16_head_too_large(process, connect, data, status, code):
    async with connect(process.port) as raw:
        await raw.send(data)
        answer = await raw.answer()
        assert (answer.status, answer.code) == (status, code)
        assert answer.headers["ratelimit-policy"].startswith('"anonymous"')


async def test_r16_head_just_small_enough_200(process, connect):
    async with connect(process.port) as raw:
        await raw.send(get(*[b"X-%d: a" % n for n in range(98)], b"X-A: " + b"a" * 8192))
        assert (await raw.answer()).status == 200


@pytest.mark.parametrize(
    "start",
    [
        b"GET /docs HTTP/1.1\r\nHost: localhost\r\nX-A: ",
        b"GET /",
        post(CHUNKED) + b"2;x=",
        post(CHUNKED) + b"0\r\nX-T: ",
    ],
    ids=["field", "target", "chunk extension", "trailer"],
)
async def test_r16_head_without_end_431_before_it_fills_memory(process, connect, start):
    async with connect(process.port) as raw:
        await raw.send(start)

        async def go_on():
            # What comes in one piece with a complete head is not counted, so there is more than 32 KiB of it.
            with contextlib.suppress(ConnectionError):
                for _ in range(32):
                    await raw.send(b"a" * 8192)
                    await asyncio.sleep(0)

        going_on = asyncio.create_task(go_on())
        answer = await raw.answer()
        assert (answer.status, answer.code) == (431, "HEADERS_TOO_LARGE")
        await going_on
        assert await raw.is_closed()


async def test_r16_client_that_still_sends_can_read_the_refusal(process, connect):
    async with connect(process.port) as raw:
        sending = asyncio.create_task(raw.send(b"GET /docs HTTP/1.1\r\nX-A: " + b"a" * 2_000_000))
        answer = await raw.answer()
        assert (answer.status, answer.code) == (431, "HEADERS_TOO_LARGE")
        with contextlib.suppress(ConnectionError):
            await sending


@pytest.mark.parametrize("start", [b"GET /docs HTTP/1.1\r\nHost: local", b"\r\n", OK + b"GET /"])
async def test_r16_head_that_does_not_come_in_time_408_and_closed(process, connect, start):
    async with connect(process.port) as raw:
        began = time.monotonic()
        await raw.send(start)
        if start.startswith(OK):
            assert (await raw.answer()).status == 200
            await raw.send(b"d")
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            answer = await raw.answer()
        assert (answer.status, answer.code) == (408, "HEAD_TIMEOUT")
        assert await raw.is_closed()
        assert 0.4 < time.monotonic() - began < 4


async def test_r16_head_that_drips_408(process, connect):
    async with connect(process.port) as raw:

        async def drip():
            with contextlib.suppress(ConnectionError):
                for byte in b"GET /docs HTTP/1.1\r\nX-A: " + b"a" * 1000:
                    await raw.send(bytes([byte]))
                    await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        answer = await raw.answer()
        dripping.cancel()
        assert (answer.status, answer.code) == (408, "HEAD_TIMEOUT")


async def test_r16_connection_on_which_nothing_comes_is_closed(process, connect):
    async with connect(process.port) as raw:
        assert await raw.is_closed(seconds=4)


async def test_r16_body_that_goes_on_after_the_answer_is_cut_off(process, connect):
    async with connect(process.port) as raw:
        await raw.send(request(b"POST /api/v1/nothing HTTP/1.1", b"Host: localhost", b"Content-Length: 100000") + b"a")
        assert (await raw.answer()).status == 404

        async def drip():
            with contextlib.suppress(ConnectionError):
                while True:
                    await raw.send(b"a")
                    await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        assert await raw.is_closed(seconds=4)
        dripping.cancel()


async def test_r16_connection_is_used_again_after_a_body_that_came_late(process, connect):
    async with connect(process.port) as raw:
        await raw.send(request(b"POST /api/v1/nothing HTTP/1.1", b"Host: localhost", b"Content-Length: 4") + b"a")
        assert (await raw.answer()).status == 404
        await raw.send(b"bcd" + OK)
        assert (await raw.answer()).status == 200


async def test_r16_idle_connection_is_closed(start, connect):
    async with start(keep_alive=0.3) as gateway, connect(gateway.port) as raw:
        for _ in range(2):
            await raw.send(OK)
            assert (await raw.answer()).status == 200
        assert await raw.is_closed(seconds=3)
        async with connect(gateway.port) as other:
            data = request(b"POST /api/v1/nothing HTTP/1.1", b"Host: localhost", b"Content-Length: 2")
            await other.send(data + b"a")
            assert (await other.answer()).status == 404
            await other.send(b"b")
            assert await other.is_closed(seconds=3)


async def test_r16_connections_of_an_address_are_limited_and_come_back(process, connect):
    async def one_more():
        async with connect(process.port) as raw:
            await raw.send(OK)
            return (await raw.answer()).status == 200

    await eventually(one_more)  # those of the tests before have ended
    async with contextlib.AsyncExitStack() as stack:
        held = []
        for _ in range(30):
            raw = await stack.enter_async_context(connect(process.port))
            await raw.send(OK)
            held.append(raw)
        statuses = [(await raw.answer()).status for raw in held]
        assert statuses == [200] * 30
        async with connect(process.port) as raw:
            answer = await raw.answer()
            assert (answer.status, answer.code) == (429, "TOO_MANY_CONNECTIONS")
            assert answer.headers["retry-after"] == "5"
            assert await raw.is_closed()
        await held[0].send(OK)
        assert (await held[0].answer()).status == 200
    assert await eventually(one_more)


async def test_r16_proxies_in_front_have_no_limit_of_connections(start, connect):
    limits = {"max_connections_per_address": 2, "trusted_proxies": ("127.0.0.0/8",)}
    async with start(**limits) as gateway, contextlib.AsyncExitStack() as stack:
        for _ in range(5):
            raw = await stack.enter_async_context(connect(gateway.port))
            await raw.send(OK)
            assert (await raw.answer()).status == 200


async def test_r16_connections_of_the_process_are_limited(start, connect):
    async with (
        start(max_connections=2, trusted_proxies=("127.0.0.0/8",)) as gateway,
        contextlib.AsyncExitStack() as all_,
    ):
        for _ in range(2):
            raw = await all_.enter_async_context(connect(gateway.port))
            await raw.send(OK)
            assert (await raw.answer()).status == 200
        third = await all_.enter_async_context(connect(gateway.port))
        answer = await third.answer()
        assert (answer.status, answer.code) == (429, "TOO_MANY_CONNECTIONS")


async def test_r16_client_that_reads_nothing_is_cut_off(services, start, connect, user):
    """A download that nobody reads would hold a connection to the service for ever."""
    ended = asyncio.Event()

    async def endless(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            for _ in range(4000):
                await send({"type": "http.response.body", "body": b"a" * 65536, "more_body": True})
        finally:
            ended.set()

    services.attachments.behave = endless
    async with start(blocked_seconds=0.3) as gateway, connect(gateway.port) as raw:
        raw.writer.transport.pause_reading()
        target = b"/api/v1/attachments/x/content"
        await raw.send(get(b"Authorization: Bearer " + user.token.encode(), target=target))
        await asyncio.wait_for(ended.wait(), 10)


class Held:
    """A service that answers when it is let go."""

    def __init__(self, reply):
        self.reply = reply
        self.go = asyncio.Event()
        self.disconnected = asyncio.Event()

    async def __call__(self, _scope, receive, send):
        ending = asyncio.create_task(self.wait_for_the_end(receive))
        going = asyncio.create_task(self.go.wait())
        await asyncio.wait([ending, going], return_when=asyncio.FIRST_COMPLETED)
        if self.go.is_set():
            await self.reply(send, 200, b'{"a":1}')
        for task in (ending, going):
            task.cancel()

    async def wait_for_the_end(self, receive):
        while (await receive())["type"] != "http.disconnect":
            pass
        self.disconnected.set()


async def begin_held(raw, user, tasks, held, *, then):
    tasks.behave = held
    fields = b"GET /api/v1/tasks HTTP/1.1", b"Host: localhost", b"Authorization: Bearer " + user.token.encode()
    await raw.send(request(*fields) + then)

    async def arrived():
        return tasks.requests

    await eventually(arrived)


async def test_r17_bad_request_behind_one_that_is_being_answered_leaves_that_one_alone(
    gateway, connect, user, tasks, services, reply
):
    held = Held(reply)
    async with connect(gateway.port) as raw:
        await begin_held(raw, user, tasks, held, then=post(CHUNKED, body=b"not hex\r\n"))
        held.go.set()
        answer = await raw.answer()
        assert (answer.status, answer.body) == (200, b'{"a":1}')
        assert await raw.is_closed()
    assert not held.disconnected.is_set()
    assert services.auth.requests == []


async def test_r16_client_that_does_not_read_with_a_request_waiting_ends_the_one_being_answered_499(
    start, connect, user, tasks, services, metric
):
    def gone():
        labels = {"method": "GET", "route": "/api/v1/tasks", "status": "499"}
        return metric("taskloom_gateway_requests_total", **labels)

    async def pour(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})

    before = gone()
    async with start(blocked_seconds=0.5) as gateway, connect(gateway.port) as raw:
        await begin_held(raw, user, tasks, pour, then=post(b"Content-Length: 0"))

        async def counted():
            return gone() == before + 1

        await eventually(counted)
    assert services.auth.requests == []

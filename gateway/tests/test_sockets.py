"""WebSockets (R53, R54): tickets, origins, limits, and frames and codes that go through as they are."""

import asyncio
import base64
import hashlib
import json
import time

import httpx2
import pytest
import redis.asyncio as redis
import websockets
from chassis.tokens import IdentityVerifier
from chassis.web.replies import refuse
from gateway.errors import TooManySockets
from testkit.waiting import eventually


async def ticket_of(gateway, user, **headers):
    async with gateway.client() as api:
        answer = await api.post("/api/v1/ws-tickets", headers={**user.headers, **headers})
    assert (answer.status_code, answer.json()["data"]["expires_in"]) == (201, 30)
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()["data"]["ticket"]


async def refusal_of(url, **options):
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(url, **options)
    answer = refused.value.response
    return answer.status_code, json.loads(answer.body)["errors"][0]["code"], answer.headers


async def echoes(socket):
    await socket.send("hello")
    return await asyncio.wait_for(socket.recv(), 5) == "hello"


async def test_r53_ticket_works_once(gateway, user, services, test_gateway):
    ticket = await ticket_of(gateway, user)
    assert len(base64.urlsafe_b64decode(ticket + "=")) == 32
    url = f"{gateway.socket_url}?ticket={ticket}&cursor=a%20b"
    async with websockets.connect(url, origin=f"http://127.0.0.1:{gateway.port}") as socket:
        assert await echoes(socket)
    (seen,) = services.notifications.sockets
    assert seen["query_string"] == b"cursor=a%20b"
    status, code, headers = await refusal_of(url, origin=f"http://127.0.0.1:{gateway.port}")
    assert (status, code, headers["www-authenticate"]) == (401, "INVALID_TOKEN", "Bearer")
    assert len(services.notifications.sockets) == 1


async def test_r53_ticket_used_twice_at_once_opens_one_socket(gateway, user, services):
    url = f"{gateway.socket_url}?ticket={await ticket_of(gateway, user)}"
    tries = await asyncio.gather(*(websockets.connect(url) for _ in range(5)), return_exceptions=True)
    opened = [one for one in tries if not isinstance(one, Exception)]
    assert len(opened) == 1
    await opened[0].close()


@pytest.mark.parametrize("ticket", ["", "abc", "a" * 43, "a" * 65, "%00", "%ff", "a&ticket=b"])
async def test_r53_ticket_that_is_none_401(gateway, services, ticket):
    status, code, headers = await refusal_of(f"{gateway.socket_url}?ticket={ticket}")
    assert status == 401
    assert code in ("INVALID_TOKEN", "UNAUTHENTICATED")
    assert headers["www-authenticate"] == "Bearer"
    assert services.notifications.sockets == []


async def test_r53_ticket_is_bound_to_the_network(start, user, services):
    async with start(trusted_proxies=("127.0.0.1/32",)) as gateway:
        for origin, elsewhere, works in (
            ("192.0.2.7", "192.0.2.99", True),
            ("192.0.2.7", "192.0.3.7", False),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
            ("::ffff:192.0.2.7", "192.0.2.8", True),
        ):
            ticket = await ticket_of(gateway, user, **{"x-forwarded-for": origin})
            url, there = f"{gateway.socket_url}?ticket={ticket}", {"x-forwarded-for": elsewhere}
            if works:
                async with websockets.connect(url, additional_headers=there) as socket:
                    assert await echoes(socket)
            else:
                assert (await refusal_of(url, additional_headers=there))[:2] == (401, "INVALID_TOKEN")
                # It is used up all the same.
                there = {"x-forwarded-for": origin}
                assert (await refusal_of(url, additional_headers=there))[:2] == (401, "INVALID_TOKEN")


async def test_r53_ticket_is_kept_as_a_digest_for_thirty_seconds(gateway, user, valkey_url):
    ticket = await ticket_of(gateway, user)
    async with redis.Redis.from_url(valkey_url) as server:
        key = "taskloom:ws-ticket:" + hashlib.sha256(ticket.encode()).hexdigest()
        assert 25 <= await server.ttl(key) <= 30
        assert not [name async for name in server.scan_iter(f"*{ticket}*")]


async def test_r27_handshake_that_crashes_500_and_is_counted(gateway, user, services, valkey_url, metric):
    def refused_with(status):
        labels = {"method": "GET", "route": "/api/v1/ws", "status": str(status)}
        return metric("taskloom_gateway_requests_total", **labels)

    crashed, unauthenticated = refused_with(500), refused_with(401)
    ticket = await ticket_of(gateway, user)
    async with redis.Redis.from_url(valkey_url) as server:
        await server.set("taskloom:ws-ticket:" + hashlib.sha256(ticket.encode()).hexdigest(), b"not JSON", ex=30)
    status, code, headers = await refusal_of(f"{gateway.socket_url}?ticket={ticket}")
    assert (status, code) == (500, "INTERNAL_ERROR")
    assert headers["x-request-id"]
    assert (await refusal_of(gateway.socket_url))[0] == 401
    assert (refused_with(500), refused_with(401)) == (crashed + 1, unauthenticated + 1)
    assert services.notifications.sockets == []


async def test_r53_ticket_of_a_session_that_was_revoked_401(gateway, auth, user):
    ticket = await ticket_of(gateway, user)
    auth.revoke_session(user.session)
    async with gateway.client() as api:

        async def revoked():
            return (await api.get("/api/v1/tasks", headers=user.headers)).status_code == 401

        await eventually(revoked)
    assert (await refusal_of(f"{gateway.socket_url}?ticket={ticket}"))[:2] == (401, "INVALID_TOKEN")


async def test_r53_ticket_of_a_token_that_has_expired_401(gateway, auth):
    user = auth.user(exp=int(time.time()) + 2)
    ticket = await ticket_of(gateway, user)

    async def expired():
        return time.time() >= expires

    expires = json.loads(base64.urlsafe_b64decode(user.token.split(".")[1] + "=="))["exp"]
    await eventually(expired)
    assert (await refusal_of(f"{gateway.socket_url}?ticket={ticket}"))[:2] == (401, "INVALID_TOKEN")


async def test_r53_without_token_or_ticket_401(gateway, services):
    status, code, headers = await refusal_of(gateway.socket_url)
    assert (status, code) == (401, "UNAUTHENTICATED")
    assert headers["ratelimit-policy"].startswith('"anonymous"')
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-request-id"]
    assert services.notifications.sockets == []


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "https://app.example.evil", "http://app.example", "https://app.example:444"],
)
async def test_r53_page_of_another_origin_403(gateway, user, services, origin):
    status, code, _ = await refusal_of(gateway.socket_url, additional_headers=user.headers, origin=origin)
    assert (status, code) == (403, "ORIGIN_NOT_ALLOWED")
    assert services.notifications.sockets == []


async def test_r53_page_of_a_listed_origin_or_ours_opens(gateway, user):
    for origin in ("https://app.example", f"http://127.0.0.1:{gateway.port}"):
        async with websockets.connect(gateway.socket_url, additional_headers=user.headers, origin=origin) as socket:
            assert await echoes(socket)
            assert socket.response.headers["ratelimit"].startswith('"user";r=')
            assert socket.response.headers["x-request-id"]


async def test_r53_tickets_are_not_logged(process, auth, services, user):
    ws = f"ws://127.0.0.1:{process.port}/api/v1/ws"
    async with httpx2.AsyncClient(base_url=process.url, timeout=60) as api:
        ticket = (await api.post("/api/v1/ws-tickets", headers=user.headers)).json()["data"]["ticket"]
    async with websockets.connect(f"{ws}?ticket={ticket}") as socket:
        assert await echoes(socket)
    await refusal_of(f"{ws}?ticket={ticket}")

    async def logged():
        return "request.denied" in process.log.read_text()

    await eventually(logged)
    log = process.log.read_text()
    assert ticket not in log
    assert user.token not in log


async def test_r54_text_and_binary_of_any_size_go_through(gateway, user):
    async with websockets.connect(gateway.socket_url, additional_headers=user.headers) as socket:
        for frame in ("a", "ü€😀", "", b"\x00\xff", b"", "x" * 65_536, b"y" * 65_536):
            await socket.send(frame)
            assert await asyncio.wait_for(socket.recv(), 5) == frame
        await socket.send(["in ", "three ", "parts"])
        assert await socket.recv() == "in three parts"


async def test_j1_zone_of_the_client_reaches_the_service_and_its_credentials_do_not(gateway, user, services):
    headers = {**user.headers, "x-timezone": "Europe/Berlin", "cookie": "a=b", "x-user-id": "1"}
    async with websockets.connect(gateway.socket_url, additional_headers=headers) as socket:
        assert await echoes(socket)
    (seen,) = services.notifications.sockets
    names = {name.decode() for name, _ in seen["headers"]}
    assert dict(seen["headers"])[b"x-timezone"] == b"Europe/Berlin"
    assert "x-taskloom-identity" in names
    assert not names & {"authorization", "cookie", "x-user-id", "origin"}


async def test_r54_frame_too_large_1009(gateway, user, services):
    async with websockets.connect(gateway.socket_url, additional_headers=user.headers) as socket:
        await socket.send("x" * 65_537)
        await asyncio.wait_for(socket.wait_closed(), 5)
        assert socket.close_code == 1009


@pytest.mark.parametrize(("code", "reason"), [(1000, "bye"), (1013, "too slow"), (4008, "resync"), (4999, "")])
async def test_r54_close_of_the_service_reaches_the_client(gateway, user, code, reason):
    async with websockets.connect(gateway.socket_url, additional_headers=user.headers) as socket:
        await socket.send(f"close {code} {reason}")
        await asyncio.wait_for(socket.wait_closed(), 5)
        assert (socket.close_code, socket.close_reason) == (code, reason)


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "leaving"), (4000, "mine")])
async def test_r54_close_of_the_client_reaches_the_service(gateway, user, services, code, reason):
    closed = asyncio.get_running_loop().create_future()

    async def listen(_scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        closed.set_result(await receive())

    services.notifications.behave_socket = listen
    async with websockets.connect(gateway.socket_url, additional_headers=user.headers) as socket:
        await socket.close(code, reason)
    message = await asyncio.wait_for(closed, 5)
    assert (message["type"], message["code"], message.get("reason") or "") == ("websocket.disconnect", code, reason)


async def test_r54_client_that_vanishes_frees_the_service(gateway, user, services):
    closed = asyncio.get_running_loop().create_future()

    async def listen(_scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        closed.set_result(await receive())

    services.notifications.behave_socket = listen
    socket = await websockets.connect(gateway.socket_url, additional_headers=user.headers)
    socket.transport.abort()
    assert (await asyncio.wait_for(closed, 5))["type"] == "websocket.disconnect"


async def test_r54_refusal_of_the_service_reaches_the_client_as_it_is(gateway, user, services):
    answer = refuse(TooManySockets("Not now.", retry_after=7))

    async def decline(_scope, receive, send):
        await receive()
        await send({"type": "websocket.http.response.start", "status": 429, "headers": answer.raw_headers})
        await send({"type": "websocket.http.response.body", "body": answer.body})

    services.notifications.behave_socket = decline
    status, code, headers = await refusal_of(gateway.socket_url, additional_headers=user.headers)
    assert (status, code, headers["retry-after"]) == (429, "TOO_MANY_SOCKETS", "7")
    assert headers["content-type"] == "application/json"
    assert headers["ratelimit"].startswith('"user";r=')


async def test_r54_expiry_of_the_token_4401(gateway, auth):
    user = auth.user(exp=int(time.time()) + 2)
    async with websockets.connect(gateway.socket_url, additional_headers=user.headers) as socket:
        assert await echoes(socket)
        await asyncio.wait_for(socket.wait_closed(), 4)
        assert (socket.close_code, socket.close_reason) == (4401, "token expired")


async def test_r54_no_more_than_twenty_of_a_user(gateway, auth, user):
    second = auth.user(sub=str(user.id))
    opened = [
        await websockets.connect(gateway.socket_url, additional_headers=one.headers) for one in (user, second) * 10
    ]
    status, code, headers = await refusal_of(gateway.socket_url, additional_headers=user.headers)
    assert (status, code, headers["retry-after"]) == (429, "TOO_MANY_SOCKETS", "5")
    async with websockets.connect(gateway.socket_url, additional_headers=auth.user().headers) as other:
        assert await echoes(other)
    await opened.pop().close()

    async def free_again():
        try:
            async with websockets.connect(gateway.socket_url, additional_headers=user.headers) as socket:
                return await echoes(socket)
        except websockets.InvalidStatus:
            return False

    await eventually(free_again)
    for socket in opened:
        await socket.close()


async def test_r54_sockets_of_the_process_are_limited(start, auth):
    async with start(max_sockets=1) as gateway:
        socket = await websockets.connect(gateway.socket_url, additional_headers=auth.user().headers)
        refusal = await refusal_of(gateway.socket_url, additional_headers=auth.user().headers)
        assert refusal[:2] == (429, "TOO_MANY_SOCKETS")
        await socket.close()


async def test_r54_service_that_is_lost_1012(start, user):
    async def serve(reader, writer):
        key = (await reader.readuntil(b"\r\n\r\n")).split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0].decode()
        accept = websockets.utils.accept_key(key)
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n\x81\x01a"
        )
        await writer.drain()
        writer.transport.abort()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with (
            start(notifications_url=f"http://127.0.0.1:{port}") as gateway,
            websockets.connect(gateway.socket_url, additional_headers=user.headers) as socket,
        ):
            await asyncio.wait_for(socket.wait_closed(), 5)
            assert socket.close_code == 1012
            assert 0 <= float(socket.close_reason.removeprefix("service restarting; retry_after=")) <= 5


async def test_r54_service_that_closes_without_a_code_closes_without_one(start, user):
    """1005 means that there was no code; it stands in no frame."""

    async def serve(reader, writer):
        key = (await reader.readuntil(b"\r\n\r\n")).split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0].decode()
        accept = websockets.utils.accept_key(key)
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n\x88\x00"
        )
        await writer.drain()
        await reader.read(100)  # the close frame that answers ours
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with (
            start(notifications_url=f"http://127.0.0.1:{port}") as gateway,
            websockets.connect(gateway.socket_url, additional_headers=user.headers) as socket,
        ):
            await asyncio.wait_for(socket.wait_closed(), 5)
            assert socket.close_code == 1005


async def test_r54_service_that_is_down_503(start, closed_port, user):
    async with start(notifications_url=f"http://127.0.0.1:{closed_port}") as gateway:
        status, code, headers = await refusal_of(gateway.socket_url, additional_headers=user.headers)
        assert (status, code, headers["retry-after"]) == (503, "UPSTREAM_UNAVAILABLE", "2")


async def test_r54_handshakes_count_as_requests(start, user):
    async with start(rate_limit_per_minute=2) as gateway:
        for _ in range(2):
            async with websockets.connect(gateway.socket_url, additional_headers=user.headers) as socket:
                assert await echoes(socket)
        status, code, headers = await refusal_of(gateway.socket_url, additional_headers=user.headers)
        assert (status, code) == (429, "RATE_LIMITED")
        assert headers["ratelimit"].startswith('"user";r=0;t=')


async def test_r54_client_that_does_not_read_is_cut_off(start, user, services):
    """A frame that nobody takes holds nothing for ever, neither here nor in the service."""
    ended = asyncio.Event()

    async def flood(_scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        try:
            while True:
                await send({"type": "websocket.send", "text": "x" * 60_000})
        finally:
            ended.set()

    services.notifications.behave_socket = flood
    async with start(blocked_seconds=0.3) as gateway:
        socket = await websockets.connect(gateway.socket_url, additional_headers=user.headers, max_queue=1)
        socket.transport.pause_reading()
        await asyncio.wait_for(ended.wait(), 10)
        socket.transport.abort()


async def test_j3_r54_who_reads_on_learns_that_it_was_too_slow(start, user, services):
    """What was passed on before it stopped reading comes whole, and then a close frame."""
    ended, frame = asyncio.Event(), "x" * 60_000

    async def flood(_scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        try:
            while True:
                await send({"type": "websocket.send", "text": frame})
        finally:
            ended.set()

    services.notifications.behave_socket = flood
    async with start(blocked_seconds=0.3) as gateway:
        socket = await websockets.connect(gateway.socket_url, additional_headers=user.headers, max_queue=1)
        socket.transport.pause_reading()
        await asyncio.wait_for(ended.wait(), 10)
        socket.transport.resume_reading()
        with pytest.raises(websockets.ConnectionClosed):
            while True:
                assert await asyncio.wait_for(socket.recv(), 10) == frame
        assert (socket.close_code, socket.close_reason) == (1013, "too slow")


async def test_r16_sockets_count_as_connections_and_give_their_place_back(start, user):
    async with start(max_connections_per_address=3) as gateway:
        for _ in range(6):
            async with websockets.connect(gateway.socket_url, additional_headers=user.headers) as socket:
                assert await echoes(socket)

        async def free():
            async with gateway.client() as api:
                return (await api.get("/docs")).status_code == 200

        await eventually(free)


def subscriptions(kind):
    """Return a message that subscribes, as bytes of a frame or several."""
    text = json.dumps({"type": "subscribe", "me": True}).encode()
    return {
        "plain": [text.decode()],
        "escaped": [text.replace(b"subscribe", b"\\u0073ubscribe").decode()],
        "large": [(text + b" " * 9000).decode()],
        "in parts": [[text[:12].decode(), text[12:].decode()]],
        "binary": [text],
    }[kind]


@pytest.mark.parametrize("kind", ["plain", "escaped", "large", "in parts", "binary"])
async def test_j1_who_subscribes_is_vouched_for_anew(gateway, auth, received, test_gateway, kind):
    """The service may have to ask others, however long ago the socket was opened; it is told for that message alone."""
    user = auth.user()
    socket = await websockets.connect(gateway.socket_url, additional_headers=user.headers)
    await socket.send("before")
    (message,) = subscriptions(kind)
    await socket.send(message)
    await socket.send("after")
    said = [await asyncio.wait_for(socket.recv(), 5) for _ in range(4)]
    assert (said[0], said[3]) == ("before", "after")
    assert received[2] == ("".join(message) if isinstance(message, list) else message)
    told = json.loads(received[1])
    assert told.keys() == {"type", "identity"}
    assert told["type"] == "identity"
    caller = IdentityVerifier(test_gateway.verify_key).verify(told["identity"]).principal
    assert (caller.user_id, caller.session_id) == (user.id, user.session)
    assert [received[0], received[3:]] == ["before", ["after"]]
    await socket.close()

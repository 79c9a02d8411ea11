"""The life of a token on a socket (J7, R54): told before it ends, renewed by a new one, ended with its session."""

import asyncio
import base64
import contextlib
import json
import time

import pytest
import websockets
from testkit.waiting import eventually
from websockets.frames import Frame, Opcode


async def opened(gateway, user):
    """Return a socket to a service that has said something, which has the first word."""
    socket = await websockets.connect(gateway.socket_url, additional_headers=user.headers)
    await socket.send("hello")
    assert await asyncio.wait_for(socket.recv(), 5) == "hello"
    return socket


async def told(socket, kind, *, seconds=30):
    """Return the next frame, which is of this type."""
    frame = json.loads(await asyncio.wait_for(socket.recv(), seconds))
    assert frame["type"] == kind, frame
    return frame


def claims_of(user):
    return json.loads(base64.urlsafe_b64decode(user.token.split(".")[1] + "=="))


def refresh(token):
    return json.dumps({"type": "refresh", "access_token": token})


def renewed(auth, user, **changes):
    return auth.user(sub=str(user.id), sid=str(user.session), **changes)


def handshake(user):
    fields = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        **user.headers,
    }
    lines = ["GET /api/v1/ws HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode()


def instant(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(seconds))


async def test_j7_token_that_has_less_than_a_minute_left_is_told_at_once(gateway, auth):
    user = auth.user(exp=int(time.time()) + 30)
    socket = await opened(gateway, user)
    frame = await told(socket, "auth_expiring")
    assert frame == {"type": "auth_expiring", "expires_at": instant(claims_of(user)["exp"])}
    await socket.close()


async def test_j7_told_a_minute_before_the_end(gateway, auth):
    user = auth.user(exp=int(time.time()) + 62)
    socket = await opened(gateway, user)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(socket.recv(), 0.5)
    await told(socket, "auth_expiring")
    assert 59 < claims_of(user)["exp"] - time.time() <= 60.1
    await socket.close()


async def test_j7_the_service_has_the_first_word(gateway, auth, services):
    go = asyncio.Event()

    async def slowly(_scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await go.wait()
        await send({"type": "websocket.send", "text": '{"type":"ready"}'})
        await receive()

    services.notifications.behave_socket = slowly
    user = auth.user(exp=int(time.time()) + 30)
    async with websockets.connect(gateway.socket_url, additional_headers=user.headers) as socket:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.3)
        go.set()
        await told(socket, "ready")
        await told(socket, "auth_expiring")


async def test_j7_new_token_takes_the_place_of_the_old_one(gateway, auth, received):
    now = int(time.time())
    user = auth.user(exp=now + 2)
    new = renewed(auth, user, exp=now + 5)
    socket = await opened(gateway, user)
    await told(socket, "auth_expiring")
    await socket.send(refresh(new.token))
    assert await told(socket, "refreshed") == {"type": "refreshed", "expires_at": instant(now + 5)}
    assert (await told(socket, "auth_expiring"))["expires_at"] == instant(now + 5)
    assert received == ["hello"]

    async def over():
        return time.time() > now + 3

    await eventually(over)
    await socket.send("still here")
    assert await socket.recv() == "still here"
    await asyncio.wait_for(socket.wait_closed(), 4)
    assert (socket.close_code, socket.close_reason) == (4401, "token expired")
    assert time.time() >= now + 5


async def test_j7_revocation_follows_the_new_token(gateway, auth, received):
    now = int(time.time())
    user = auth.user(iat=now - 10, nbf=now - 10)
    stale = auth.user(iat=now - 10, nbf=now - 10, sub=str(user.id))
    kept, ended = await opened(gateway, user), await opened(gateway, stale)
    await kept.send(refresh(renewed(auth, user, iat=now).token))
    await told(kept, "refreshed")
    auth.revoke_user(user.id, before=now)
    await asyncio.wait_for(ended.wait_closed(), 2)
    assert (ended.close_code, ended.close_reason) == (4401, "session ended")
    await kept.send("still here")
    assert await kept.recv() == "still here"
    auth.revoke_session(user.session)
    await asyncio.wait_for(kept.wait_closed(), 2)
    assert (kept.close_code, kept.close_reason) == (4401, "session ended")


WRONG = {
    "another user's": lambda auth, user: auth.user(sid=str(user.session)).token,
    "another session's": lambda auth, user: auth.user(sub=str(user.id)).token,
    "expired": lambda auth, user: renewed(auth, user, iat=int(time.time()) - 900, exp=int(time.time()) - 60).token,
    "of an API": lambda auth, user: auth.api_token(user_id=str(user.id), token_id=str(user.session)).secret,
    "garbage": lambda *_: "abc",
    "with a space": lambda *_: "a b",
    "empty": lambda *_: "",
    "too long": lambda *_: "a" * 5000,
    "a number": lambda *_: 1,
    "null": lambda *_: None,
    "a list": lambda *_: ["a"],
    "not ASCII": lambda *_: "ü",
}


@pytest.mark.parametrize("which", WRONG)
async def test_j7_token_that_is_not_a_new_one_of_the_session_is_refused(gateway, auth, user, received, which):
    socket = await opened(gateway, user)
    await socket.send(refresh(WRONG[which](auth, user)))
    assert (await told(socket, "error"))["code"] == "TOKEN_INVALID"
    await socket.send("goes on")
    assert await socket.recv() == "goes on"
    assert received == ["hello", "goes on"]
    assert auth.questions == []
    await socket.close()


async def test_j7_refused_refresh_does_not_put_off_the_end(gateway, auth, received):
    user = auth.user(exp=int(time.time()) + 2)
    socket = await opened(gateway, user)
    await told(socket, "auth_expiring")
    await socket.send(refresh(auth.user(sub=str(user.id)).token))
    await told(socket, "error")
    await asyncio.wait_for(socket.wait_closed(), 4)
    assert (socket.close_code, socket.close_reason) == (4401, "token expired")


async def test_j7_token_of_a_user_whose_tokens_were_revoked_is_refused(gateway, auth, received):
    now = int(time.time())
    user = auth.user(iat=now)
    socket = await opened(gateway, user)
    auth.revoke_user(user.id, before=now)
    asked = auth.asked

    async def known():
        return auth.asked > asked + 1

    await eventually(known)
    await socket.send(refresh(renewed(auth, user, iat=now - 10, nbf=now - 10).token))
    assert (await told(socket, "error"))["code"] == "TOKEN_INVALID"
    await socket.close()


async def test_j7_sockets_of_api_tokens_are_not_refreshed(gateway, auth, received):
    token = auth.api_token()
    socket = await opened(gateway, token)
    session = auth.user(sub=str(token.user_id), sid=str(token.id))
    await socket.send(refresh(session.token))
    assert (await told(socket, "error"))["code"] == "TOKEN_INVALID"
    await socket.close()


async def test_j7_refresh_without_a_state_of_sessions_is_told_as_that(start, auth, user, received):
    async with start(revocations_max_age_seconds=1) as gateway:
        socket = await opened(gateway, user)
        auth.marks_broken = True

        async def code():
            await socket.send(refresh(renewed(auth, user).token))
            frame = json.loads(await asyncio.wait_for(socket.recv(), 5))
            await asyncio.sleep(0.1)  # 20 messages a second
            return frame.get("code")

        assert await eventually(code, seconds=5) == "AUTH_STATE_UNAVAILABLE"
        await socket.close()


@pytest.mark.parametrize("how", ["binary", "in parts", "escaped", "with spaces", "twice named", "in parts with a ping"])
async def test_j7_refresh_never_reaches_the_service_however_it_is_sent(gateway, auth, user, received, how):
    token = renewed(auth, user).token
    text = refresh(token)
    socket = await opened(gateway, user)
    if how == "binary":
        await socket.send(text.encode())
    elif how == "in parts":
        await socket.send([text[:12], text[12:30], text[30:]])
    elif how == "escaped":
        await socket.send(text.replace('"refresh"', '"\\u0072e\\u0066resh"').replace('"type"', '"\\u0074ype"'))
    elif how == "with spaces":
        await socket.send(f'\n{{ "access_token" : "{token}" ,\r\n\t"type" : "refresh" , "id": [1] }} ')
    elif how == "twice named":
        await socket.send(f'{{"type":"ping","type":"refresh","access_token":"{token}"}}')
    else:

        async def parts():
            yield text[:12]
            await (await socket.ping())
            yield text[12:]

        await socket.send(parts())
    await told(socket, "refreshed")
    await socket.send("goes on")
    assert await socket.recv() == "goes on"
    assert received == ["hello", "goes on"]
    await socket.close()


async def test_j7_what_only_looks_like_a_word_for_us_goes_through(gateway, user, received):
    socket = await opened(gateway, user)
    said = [
        "refresh",
        '{"type":"ping","of":"refresh"}',
        '{"type":["refresh"]}',
        '["refresh"]',
        '{"type":"refresh"',
        "\\u",
        "subscribe",
        '{"type":"unsubscribe","id":"subscribe"}',
        "subscribe" + "x" * 40_000,
    ]
    for text in said:
        await socket.send(text)
        assert await socket.recv() == text
    assert received == ["hello", *said]
    await socket.close()


async def test_r54_more_than_twenty_messages_a_second_1008(gateway, user, received):
    async with websockets.connect(gateway.socket_url, additional_headers=user.headers) as socket:
        for number in range(21):
            await socket.send(f"message {number}")
        await asyncio.wait_for(drained(socket), 5)
        assert (socket.close_code, socket.close_reason) == (1008, "too many messages")
    assert received == [f"message {number}" for number in range(len(received))]
    assert len(received) <= 20


async def drained(socket):
    with contextlib.suppress(websockets.ConnectionClosed):
        async for _ in socket:
            pass


async def test_r54_refreshes_are_messages_too(gateway, auth, user, received):
    socket = await opened(gateway, user)
    for _ in range(25):
        await socket.send(refresh("abc"))
    await asyncio.wait_for(drained(socket), 5)
    assert (socket.close_code, socket.close_reason) == (1008, "too many messages")
    assert received == ["hello"]


@pytest.mark.parametrize("parts", [["x" * 40_000, "y" * 40_000], ["z"] * 300])
async def test_r54_message_too_large_in_parts_1009(gateway, user, received, parts):
    async with websockets.connect(gateway.socket_url, additional_headers=user.headers) as socket:
        await socket.send(parts)
        await asyncio.wait_for(socket.wait_closed(), 5)
        assert socket.close_code == 1009
    assert received == []


async def test_r6_revocation_ends_many_sockets_within_two_seconds(gateway, auth, received):
    users = [auth.user() for _ in range(10)]
    untouched = auth.user()
    sockets = [await opened(gateway, user) for user in users for _ in range(15)]
    others = [await opened(gateway, untouched) for _ in range(5)]
    for user in users:
        auth.revoke_session(user.session)
    await asyncio.wait_for(asyncio.gather(*(socket.wait_closed() for socket in sockets)), 2)
    assert {(one.close_code, one.close_reason) for one in sockets} == {(4401, "session ended")}
    for one in others:
        await one.send("still here")
        assert await one.recv() == "still here"
        await one.close()


class RawService:
    """The service's end of one socket, byte by byte."""

    def __init__(self):
        self.opened = asyncio.Event()
        self.writer = None
        self.reader = None

    async def __call__(self, reader, writer):
        key = (await reader.readuntil(b"\r\n\r\n")).split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0].decode()
        accept = websockets.utils.accept_key(key).encode()
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        # The first frame comes with the head, as it may.
        writer.write(head + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + text_frame("first"))
        await writer.drain()
        self.reader, self.writer = reader, writer
        self.opened.set()


def text_frame(text, *, fin=True, opcode=Opcode.TEXT):
    return Frame(opcode, text.encode(), fin).serialize(mask=False)


@pytest.fixture
async def raw_service(start):
    service = RawService()
    async with await asyncio.start_server(service, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with start(notifications_url=f"http://127.0.0.1:{port}") as gateway:
            service.gateway = gateway
            yield service
        service.writer.transport.abort()


async def test_j7_nothing_is_put_into_the_middle_of_a_message(raw_service, auth):
    user = auth.user(exp=int(time.time()) + 62)
    async with websockets.connect(raw_service.gateway.socket_url, additional_headers=user.headers) as socket:
        assert await socket.recv() == "first"
        first, second = text_frame("in ", fin=False), text_frame("two", opcode=Opcode.CONT)
        raw_service.writer.write(first + second[:2])

        async def warned():
            return time.time() > claims_of(user)["exp"] - 59.5

        await eventually(warned)
        raw_service.writer.write(second[2:])
        assert await socket.recv() == "in two"
        await told(socket, "auth_expiring")


async def test_r54_frames_in_any_pieces_go_through(raw_service, user):
    url = raw_service.gateway.socket_url
    async with websockets.connect(url, additional_headers=user.headers, max_size=None) as socket:
        assert await socket.recv() == "first"
        texts = ["", "a", "b" * 125, "c" * 126, "d" * 65_535, "e" * 65_536, "f" * 200_000]
        data = b"".join(map(text_frame, texts))
        for at in range(700):
            raw_service.writer.write(data[at : at + 1])
            await asyncio.sleep(0)
        raw_service.writer.write(data[700:])
        assert [await socket.recv() for _ in texts] == texts


async def test_r54_heartbeat_of_the_service_asks_the_client_itself(raw_service, user):
    """So that a client which is gone is noticed, and the service knows which of its sockets are alive."""
    async with websockets.connect(raw_service.gateway.socket_url, additional_headers=user.headers) as socket:
        assert await socket.recv() == "first"
        raw_service.writer.write(Frame(Opcode.PING, b"beat").serialize(mask=False))
        head, size, *_ = await raw_service.reader.readexactly(10)
        assert (head, size) == (0x80 | Opcode.PONG, 0x80 | 4)
        pong = await socket.ping()
        frame = await raw_service.reader.readexactly(10)
        assert frame[0] == 0x80 | Opcode.PING
        payload = websockets.utils.apply_mask(frame[6:], frame[2:6])
        raw_service.writer.write(Frame(Opcode.PONG, payload).serialize(mask=False))
        await asyncio.wait_for(pong, 5)


@pytest.mark.parametrize("what", ["revocation", "end of the service"])
async def test_r54_frame_that_never_ends_does_not_keep_a_socket(raw_service, auth, user, what):
    async with websockets.connect(raw_service.gateway.socket_url, additional_headers=user.headers) as socket:
        assert await socket.recv() == "first"
        raw_service.writer.write(text_frame("x" * 1000)[:500])
        await raw_service.writer.drain()
        if what == "revocation":
            auth.revoke_session(user.session)
        else:
            raw_service.writer.close()
        await asyncio.wait_for(socket.wait_closed(), 2)
        assert socket.close_code == 1006


async def test_r54_service_that_does_not_answer_a_close_does_not_keep_a_socket(raw_service, user):
    async with websockets.connect(raw_service.gateway.socket_url, additional_headers=user.headers) as socket:
        assert await socket.recv() == "first"
        began = time.monotonic()
        await socket.close(1000, "bye")
        assert time.monotonic() - began < 7


async def test_r54_frames_before_the_end_of_the_handshake_are_kept(gateway, user, connect, services):
    go = asyncio.Event()

    async def echo_late(_scope, receive, send):
        await receive()
        await go.wait()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": (await receive())["text"]})

    async def asked():
        return services.notifications.sockets

    services.notifications.behave_socket = echo_late
    async with connect(gateway.port) as raw:
        await raw.send(handshake(user))
        await eventually(asked)
        await raw.send(Frame(Opcode.TEXT, b"early").serialize(mask=True))
        go.set()
        answer = await raw.reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert await raw.reader.readexactly(7) == text_frame("early")


@pytest.mark.parametrize(
    "frame",
    [
        b"\x81\x05hello",  # without a mask
        b"\xf1\x80\x00\x00\x00\x00",  # reserved bits
        b"\x83\x80\x00\x00\x00\x00",  # an opcode that is none
        b"\x80\x80\x00\x00\x00\x00",  # the end of a message without a beginning
        b"\x09\x80\x00\x00\x00\x00",  # a ping in parts
        b"\x81\x82\x00\x00\x00\x00\xff\xff",  # not UTF-8
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff" + b"\x00" * 4,  # larger than anything
    ],
)
async def test_r54_frames_that_are_none_end_the_socket_and_nothing_else(gateway, user, connect, received, frame):
    async with connect(gateway.port) as raw:
        await raw.send(handshake(user))
        assert (await raw.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        await raw.send(frame)
        assert (await asyncio.wait_for(raw.reader.read(), 12))[:1] == b"\x88"
    assert received == []

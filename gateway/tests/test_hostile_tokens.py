"""Every hostile token that we know of, from the RFCs and from what went wrong elsewhere, against the whole gateway."""

import json
from urllib.parse import quote

import pytest
from chassis.tokens import ACCESS_TYPE, IDENTITY_AUDIENCE, IDENTITY_ISSUER, IDENTITY_TYPE, MAX_TOKEN_CHARACTERS
from testkit.hostile.fields import sized
from testkit.hostile.forger import Forger
from testkit.hostile.vectors import HOSTILE, values

COUNT = 1260
LONGEST_IN_A_HANDSHAKE = 8192 - len(b"Authorization: \r\n")
PATH = "/api/v1/tasks"
CODES = {400: {"MALFORMED_REQUEST"}, 401: {"INVALID_TOKEN", "UNAUTHENTICATED"}, 431: {"HEADERS_TOO_LARGE"}}
SAMPLE = [name for name, field in HOSTILE.items() if field.status == 401][::20]
"""Of all kinds, since they stand in the order of their kinds."""


@pytest.fixture
def forger(auth, test_gateway):
    return Forger(
        key=auth.issuer.key,
        kid=auth.issuer.kid,
        typ=ACCESS_TYPE,
        issuer="taskloom",
        audience="taskloom-api",
        lifetime=86_400,
        other_typ=IDENTITY_TYPE,
        other_issuer=IDENTITY_ISSUER,
        other_audience=IDENTITY_AUDIENCE,
        identity=test_gateway.service_headers()["x-taskloom-identity"],
    )


@pytest.fixture
def send(gateway, connect):
    """Sends a head with these bytes for its Authorization, and returns the answer."""

    async def send(value, *, path=PATH, more=b""):
        async with connect(gateway.port) as connection:
            head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\n".encode()
            field = b"" if value is None else b"Authorization: " + value + b"\r\n"
            await connection.send(head + field + more + b"\r\n")
            return await connection.answer()

    return send


@pytest.fixture
async def works(send, forger, tasks):
    """Tells that a good token is served."""

    async def works():
        seen = len(tasks.requests)
        answer = await send(b"Bearer " + forger.token().encode())
        return (answer.status, len(tasks.requests)) == (200, seen + 1)

    return works


def assert_refused(answer, status):
    body = json.loads(answer.body)
    assert answer.status == status
    assert (body["success"], body["data"]) == (False, None)
    assert body["errors"][0]["code"] in CODES[status]
    assert body["meta"]["request_id"] == answer.headers["x-request-id"]
    assert answer.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)


def test_r2_there_are_so_many_hostile_tokens_and_no_two_are_the_same(forger):
    assert len(set(values(forger).values())) == len(HOSTILE) == COUNT
    assert len(SAMPLE) >= 50


@pytest.mark.parametrize("name", HOSTILE)
async def test_r2_hostile_token_is_refused_and_a_good_one_works_before_and_after(
    send, works, forger, auth, tasks, name
):
    field = HOSTILE[name]
    asked = len(auth.questions)
    assert await works()
    answer = await send(field.value(forger))
    assert_refused(answer, field.status)
    assert (len(tasks.requests), len(auth.requests), len(auth.questions)) == (1, 0, asked)
    assert await works()


@pytest.mark.parametrize("size", range(MAX_TOKEN_CHARACTERS - 2, MAX_TOKEN_CHARACTERS + 1))
async def test_r1_good_token_of_4_kib_200(send, forger, size):
    token = sized(forger, size)
    assert len(token) == size
    assert (await send(b"Bearer " + token.encode())).status == 200


UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.mark.parametrize("name", SAMPLE)
async def test_r2_hostile_token_opens_no_socket(send, forger, services, name):
    value = HOSTILE[name].value(forger)
    status = 401 if len(value) <= LONGEST_IN_A_HANDSHAKE else 431
    assert_refused(await send(value, path="/api/v1/ws", more=UPGRADE), status)
    assert services.notifications.sockets == []


@pytest.mark.parametrize("name", SAMPLE)
async def test_r53_hostile_token_is_no_ticket(send, forger, services, name):
    ticket = quote(HOSTILE[name].value(forger).removeprefix(b"Bearer "), safe="")[:8000]
    assert_refused(await send(None, path=f"/api/v1/ws?ticket={ticket}", more=UPGRADE), 401)
    assert services.notifications.sockets == []


async def test_r2_the_same_handshake_with_a_good_token_opens_a_socket(send, forger, services):
    answer = await send(b"Bearer " + forger.token().encode(), path="/api/v1/ws", more=UPGRADE)
    assert (answer.status, len(services.notifications.sockets)) == (101, 1)


async def test_r53_a_good_access_token_is_no_ticket(send, forger, services):
    assert_refused(await send(None, path=f"/api/v1/ws?ticket={forger.token()}", more=UPGRADE), 401)
    assert services.notifications.sockets == []

"""Pushes: what they say, what leaves to each service, and what its answers mean."""

import asyncio
import base64
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_network
from uuid import UUID

import http_ece
import hypercorn.asyncio
import hypercorn.config
import jwt
import orjson
import pytest
from chassis.clock import utcnow
from chassis.db.transactions import transaction
from chassis.egress.client import Egress
from chassis.egress.rules import EgressRules
from chassis.ids import uuid7
from chassis.sealing import KeyRing
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from notifications_service.deliveries.drivers import Notice, Outgoing, Person, Postpone, Refused, TargetGone
from notifications_service.devices.repository import find_all_unscoped
from notifications_service.devices.schemas import DeviceCreate
from notifications_service.devices.service import register_device
from notifications_service.push.accounts import ApnsAccount, ServiceAccount
from notifications_service.push.apns import Apns
from notifications_service.push.driver import PushDriver
from notifications_service.push.fcm import Fcm
from notifications_service.push.keys import public_key
from notifications_service.push.messages import Push, push_of, topic_of
from notifications_service.push.webpush import WebPush
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from testkit.servers import free_port
from testkit.waiting import eventually

VAPID_KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"
RING = KeyRing({"k1": b"k" * 32})
TASK = UUID("0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11")
TOPIC = topic_of(str(TASK))
PUSH = Push("SHOP-7 Buy milk", "Ada assigned it to you", {"kind": "assigned"}, is_urgent=True, topic=TOPIC)


def encoded(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class PushServer:
    """A push service; `status`, `content` and `headers` are what it answers."""

    url: str = ""
    status: int = 201
    content: bytes = b""
    headers: dict = field(default_factory=dict)
    taken: list = field(default_factory=list)
    tokens: list = field(default_factory=list)

    async def take(self, request: Request) -> Response:
        version = request.scope["http_version"]
        self.taken.append((request.url.path, dict(request.headers), await request.body(), version))
        return Response(self.content, self.status, self.headers)

    async def token(self, request: Request) -> Response:
        self.tokens.append((await request.body()).decode())
        return Response(orjson.dumps({"access_token": f"token-{len(self.tokens)}", "expires_in": 3600}))


@asynccontextmanager
async def served():
    found, stop, port = PushServer(), asyncio.Event(), free_port()
    found.url = f"http://127.0.0.1:{port}"
    config = hypercorn.config.Config()
    config.bind, config.accesslog, config.errorlog, config.loglevel = [f"127.0.0.1:{port}"], None, None, "CRITICAL"
    app = Starlette(
        routes=[
            Route("/token", found.token, methods=["POST"]),
            Route("/{path:path}", found.take, methods=["POST"]),
        ]
    )
    running = asyncio.create_task(hypercorn.asyncio.serve(app, config, shutdown_trigger=stop.wait))

    async def listens():
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    await eventually(listens)
    yield found
    stop.set()
    await running


@pytest.fixture
async def server():
    async with served() as found:
        yield found


@pytest.fixture
def browser():
    """A subscriber's private key and secret, and what it registers."""
    key, secret = ec.generate_private_key(ec.SECP256R1()), os.urandom(16)
    point = key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    return key, secret, {"p256dh": encoded(point), "auth": encoded(secret)}


@pytest.fixture
def web_push():
    networks = EgressRules(networks=(ip_network("127.0.0.0/8"),), ports=(range(1, 65536),), http=True)
    return WebPush(Egress(networks), "mailto:ops@example.com", VAPID_KEY)


def address(server, browser):
    return orjson.dumps({"endpoint": f"{server.url}/send/secret-path", "keys": browser[2]}).decode()


async def test_k5_only_the_subscriber_can_read_a_push_and_its_service_knows_who_sends(server, browser, web_push):
    sent = await web_push.send(address(server, browser), PUSH)
    assert sent.provider_id is None
    ((path, headers, body, _),) = server.taken
    assert path == "/send/secret-path"
    plain = http_ece.decrypt(body, private_key=browser[0], auth_secret=browser[1], version="aes128gcm")
    assert orjson.loads(plain) == {"title": PUSH.title, "body": PUSH.body, "data": PUSH.data}
    assert b"milk" not in body
    assert (headers["content-encoding"], headers["ttl"], headers["urgency"]) == ("aes128gcm", "86400", "high")
    assert headers["topic"] == PUSH.topic
    token, key = headers["authorization"].removeprefix("vapid t=").split(",k=")
    assert key == public_key(VAPID_KEY)
    raw = base64.urlsafe_b64decode(key + "==")
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
    claims = jwt.decode(token, point, algorithms=["ES256"], audience=server.url)
    assert claims["sub"] == "mailto:ops@example.com"
    assert timedelta(0) < timedelta(seconds=claims["exp"] - utcnow().timestamp()) <= timedelta(hours=12)


async def test_what_is_not_urgent_and_of_no_task_says_so(server, browser, web_push):
    await web_push.send(address(server, browser), Push("Taskloom", "Told"))
    ((_, headers, _, _),) = server.taken
    assert (headers["urgency"], "topic" in headers) == ("normal", False)


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [
        (404, TargetGone, "status_404"),
        (410, TargetGone, "status_410"),
        (429, Postpone, "status_429"),
        (503, Postpone, "status_503"),
        (302, Refused, "status_302"),
        (413, Refused, "status_413"),
        (403, Refused, "status_403"),
    ],
)
async def test_k5_what_the_answer_of_a_push_service_means(server, browser, web_push, status, error, reason):
    server.status, server.headers = status, {"retry-after": "120", "location": "http://127.0.0.1:1/"}
    with pytest.raises(error) as caught:
        await web_push.send(address(server, browser), PUSH)
    assert caught.value.reason == reason
    if error is Postpone:
        assert caught.value.after == timedelta(seconds=120)
    assert len(server.taken) == 1


async def test_k13_a_push_service_inside_is_not_reached(server, browser):
    with pytest.raises(Postpone, match="blocked"):
        await WebPush(Egress(EgressRules()), "mailto:a@example.com", VAPID_KEY).send(address(server, browser), PUSH)
    assert server.taken == []


async def test_a_push_service_that_is_away_is_asked_again(browser, web_push):
    away = PushServer(url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Postpone, match="connect"):
        await web_push.send(address(away, browser), PUSH)


@pytest.fixture(scope="session")
def account_key():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8
    return key, key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


@pytest.fixture
def fcm(server, account_key):
    found = ServiceAccount.parse(
        orjson.dumps(
            {
                "project_id": "shop",
                "client_email": "push@shop.example",
                "private_key": account_key[1],
                "token_uri": f"{server.url}/token",
            }
        ).decode()
    )
    return Fcm(found, url=server.url)


async def test_k5_fcm_takes_a_message_by_a_token_of_the_service_account(server, fcm, account_key):
    server.status, server.content = 200, b'{"name": "projects/shop/messages/7"}'
    sent = [await fcm.send("a-registration", PUSH) for _ in range(2)]
    assert {one.provider_id for one in sent} == {"projects/shop/messages/7"}
    (form,) = server.tokens
    assertion = dict(part.split("=") for part in form.split("&"))["assertion"]
    claims = jwt.decode(assertion, account_key[0].public_key(), algorithms=["RS256"], audience=f"{server.url}/token")
    assert (claims["iss"], claims["scope"]) == (
        "push@shop.example",
        "https://www.googleapis.com/auth/firebase.messaging",
    )
    path, headers, body, _ = server.taken[0]
    assert (path, headers["authorization"]) == ("/v1/projects/shop/messages:send", "Bearer token-1")
    assert orjson.loads(body)["message"] == {
        "token": "a-registration",
        "notification": {"title": PUSH.title, "body": PUSH.body},
        "data": {"kind": "assigned"},
        "android": {"ttl": "86400s", "priority": "HIGH", "collapse_key": PUSH.topic},
        "apns": {"headers": {"apns-collapse-id": PUSH.topic}},
    }


def fcm_error(code):
    return orjson.dumps({"error": {"details": [{"@type": "x", "errorCode": code}]}})


@pytest.mark.parametrize(
    ("status", "content", "error"),
    [
        (404, fcm_error("UNREGISTERED"), TargetGone),
        (403, fcm_error("SENDER_ID_MISMATCH"), TargetGone),
        (400, fcm_error("INVALID_ARGUMENT"), Refused),
        (404, b"no json", Refused),
        (400, b'{"error": "text"}', Refused),
        (429, fcm_error("QUOTA_EXCEEDED"), Postpone),
        (503, b"", Postpone),
    ],
)
async def test_k5_what_the_answer_of_fcm_means(server, fcm, status, content, error):
    server.status, server.content, server.headers = status, content, {"retry-after": "60"}
    with pytest.raises(error) as caught:
        await fcm.send("a-registration", PUSH)
    assert caught.value.reason == f"status_{status}"
    if error is Postpone:
        assert caught.value.after == timedelta(seconds=60)


async def test_a_token_that_fcm_refuses_is_asked_for_anew(server, fcm):
    server.status = 401
    for _ in range(2):
        with pytest.raises(Postpone, match="status_401"):
            await fcm.send("a-registration", PUSH)
    assert len(server.tokens) == 2


async def test_a_service_account_that_nobody_answers_waits(account_key):
    away = f"http://127.0.0.1:{free_port()}"
    account = ServiceAccount("shop", "push@shop.example", account_key[1], f"{away}/token")
    with pytest.raises(Postpone, match="token"):
        await Fcm(account, url=away).send("a-registration", PUSH)


@pytest.fixture(scope="session")
def apns_key():
    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.PKCS8
    return key, key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


@pytest.fixture
async def apns(server, apns_key):
    # Without TLS nothing is negotiated, so HTTP/2 has to be the only choice.
    found = Apns(ApnsAccount("KEY", "TEAM", "com.example.app", apns_key[1]), url=server.url, http1=False)
    yield found
    await found.close()


async def test_k5_apns_takes_a_message_over_http_2_by_a_token_of_the_key(server, apns, apns_key):
    server.status, server.headers = 200, {"apns-id": "an-id"}
    sent = [await apns.send("abcdef", PUSH) for _ in range(2)]
    assert {one.provider_id for one in sent} == {"an-id"}
    path, headers, body, version = server.taken[0]
    assert (path, version) == ("/3/device/abcdef", "2")
    assert {name: headers[name] for name in headers if name.startswith("apns-") and name != "apns-expiration"} == {
        "apns-topic": "com.example.app",
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-collapse-id": PUSH.topic,
    }
    token = headers["authorization"].removeprefix("bearer ")
    assert jwt.get_unverified_header(token)["kid"] == "KEY"
    assert jwt.decode(token, apns_key[0].public_key(), algorithms=["ES256"])["iss"] == "TEAM"
    assert server.taken[1][1]["authorization"] == headers["authorization"]
    assert orjson.loads(body) == {
        "aps": {
            "alert": {"title": PUSH.title, "body": PUSH.body},
            "sound": "default",
            "thread-id": PUSH.topic,
        },
        "kind": "assigned",
    }


@pytest.mark.parametrize(
    ("status", "cause", "error"),
    [
        (410, "Unregistered", TargetGone),
        (400, "BadDeviceToken", TargetGone),
        (400, "DeviceTokenNotForTopic", TargetGone),
        (400, "BadTopic", Refused),
        (403, "ExpiredProviderToken", Postpone),
        (429, "TooManyRequests", Postpone),
        (503, "Shutdown", Postpone),
    ],
)
async def test_k5_what_the_answer_of_apns_means(server, apns, status, cause, error):
    server.status, server.content = status, orjson.dumps({"reason": cause})
    with pytest.raises(error, match=f"status_{status}"):
        await apns.send("abcdef", PUSH)


def message(target, **changed):
    notice = Notice(
        id=uuid7(),
        kind="mentioned",
        text="Ada mentioned you",
        created_at=utcnow(),
        task_id=TASK,
        key="SHOP-7",
        title="Buy milk",
        excerpt="Could you?",
        link="https://api.example/api/v1/tasks/7",
    )
    values = {
        "delivery_id": uuid7(),
        "channel": "push",
        "attempts": 1,
        "notification_id": UUID(int=7),
        "digest_id": None,
        "notices": [notice],
        "person": Person(uuid7(), "Ben"),
        "target": target,
        "collapse_key": str(TASK),
    }
    return Outgoing(**{**values, **changed})


def test_k5_a_push_says_what_a_notification_tells():
    push = push_of(message({}))
    assert push == Push(
        title="SHOP-7 Buy milk",
        body="Ada mentioned you: Could you?",
        data={
            "kind": "mentioned",
            "notification_id": str(UUID(int=7)),
            "task_id": str(TASK),
            "url": "https://api.example/api/v1/tasks/7",
        },
        is_urgent=True,
        topic=topic_of(str(TASK)),
    )
    assert (len(push.topic), push.topic.replace("-", "").replace("_", "").isalnum()) == (32, True)


def test_a_long_push_in_any_script_fits_into_what_every_service_takes():
    pile = "\U0001f4a9"
    notice = Notice(id=uuid7(), kind="commented", text=pile * 5000, created_at=utcnow(), title=pile * 500)
    push = push_of(message({}, notices=[notice]))
    assert len(orjson.dumps({"title": push.title, "body": push.body, "data": push.data})) < 3993 - 600


async def test_k5_a_device_that_is_gone_is_deleted(book, sending, server, browser, web_push, database, rows):
    user = uuid7()
    body = {"kind": "webpush", "name": "F", "subscription": {"endpoint": f"{server.url}/x", "keys": browser[2]}}
    async with transaction(database) as session:
        device, _ = await register_device(session, user_id=user, wanted=DeviceCreate.model_validate(body), ring=RING)
    planned = await book.plan(channel="push", user_id=user, target_id=device["id"], collapse_key=str(TASK))
    later = utcnow() + timedelta(hours=1)
    waiting = await book.plan(channel="push", user_id=user, target_id=device["id"], due_at=later)

    async def prepare(session, found):
        devices = await find_all_unscoped(session, [row["target_id"] for row in found])
        return {row["id"]: message(devices[row["target_id"]], delivery_id=row["id"]) for row in found}

    driver = PushDriver(RING, {"webpush": web_push})
    async with sending(push=driver, prepare=prepare):
        row = await book.becomes(planned, "sent")
        assert row["attempts"] == 1
        server.status = 410
        await book.alter(waiting, "due_at = now()")
        assert (await book.becomes(waiting, "failed"))["reason"] == "status_410"
    assert await rows("SELECT count(*) FROM notifications.device WHERE user_id = :u", u=user) == [(0,)]
    assert len(server.taken) == 2


async def test_a_kind_without_a_service_waits_for_one():
    with pytest.raises(Postpone, match="not_configured"):
        await PushDriver(RING, {}).send(message({"kind": "fcm"}))

"""What takes pushes for somebody: registered, renamed, moved to who holds it, and deleted."""

import asyncio
import base64
import os

import pytest
from chassis.ids import uuid7
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from notifications_service.devices.schemas import SUBSCRIPTION_EXAMPLE
from notifications_service.settings import ChannelSettings
from testkit.contract import contract_client

PATH = "/api/v1/devices"


def encoded(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def point():
    form = serialization.PublicFormat.UncompressedPoint
    return ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(serialization.Encoding.X962, form)


def browser(endpoint=None, **changed):
    """What a browser registers; without an endpoint one of its own."""
    keys = {"p256dh": encoded(point()), "auth": encoded(os.urandom(16))}
    subscription = {"endpoint": endpoint or f"http://127.0.0.1:1999/{uuid7()}", "keys": keys}
    return {"kind": "webpush", "name": "Firefox", "app": "web", "subscription": subscription, **changed}


def codes(answer):
    return [(one["code"], one["field"]) for one in answer.json()["errors"]]


@pytest.fixture
def register(api, headers):
    async def register(body=None, **more):
        return await api.post(PATH, json=body or browser(), headers={**headers, **more})

    return register


async def test_k5_a_device_is_registered_shown_renamed_and_deleted(api, headers, register):
    made = await register()
    assert made.status_code == 201
    device = made.json()["data"]
    shown = {name: device[name] for name in ("kind", "name", "app", "version")}
    assert shown == {"kind": "webpush", "name": "Firefox", "app": "web", "version": 1}
    where = made.headers["location"]
    assert where == f"{PATH}/{device['id']}"
    read = await api.get(where, headers=headers)
    assert (read.json()["data"], read.headers["etag"]) == (device, '"1"')
    assert (await api.get(where, headers={**headers, "if-none-match": '"1"'})).status_code == 304
    renamed = await api.patch(where, json={"name": " Work ", "app": None}, headers={**headers, "if-match": '"1"'})
    assert renamed.status_code == 200
    assert (renamed.json()["data"]["name"], renamed.json()["data"]["app"], renamed.headers["etag"]) == (
        "Work",
        None,
        '"2"',
    )
    stale = await api.patch(where, json={"name": "X"}, headers={**headers, "if-match": '"1"'})
    assert (stale.status_code, codes(stale)) == (412, [("VERSION_CONFLICT", None)])
    assert stale.json()["data"]["current"] == renamed.json()["data"]
    listed = await api.get(PATH, headers=headers)
    assert [one["id"] for one in listed.json()["data"]] == [device["id"]]
    assert (await api.delete(where, headers={**headers, "if-match": '"1"'})).status_code == 412
    assert (await api.delete(where, headers=headers)).json()["data"] is None
    assert (await api.delete(where, headers=headers)).status_code == 404
    assert (await api.patch(where, json={"name": "X"}, headers=headers)).status_code == 404
    assert (await api.get(where, headers=headers)).status_code == 404


async def test_a_device_can_be_deleted_without_an_answer(api, headers, register):
    where = (await register()).headers["location"]
    gone = await api.delete(where, headers={**headers, "prefer": "return=minimal"})
    assert (gone.status_code, gone.content) == (204, b"")


async def test_r43_what_a_device_is_reached_by_is_shown_nowhere_and_sealed(register, rows):
    body = browser()
    made = await register(body)
    found = await rows("SELECT device::text FROM notifications.device WHERE id = :id", id=made.json()["data"]["id"])
    ((kept,),) = found
    for secret in (body["subscription"]["endpoint"], *body["subscription"]["keys"].values()):
        assert secret not in kept + made.text


async def test_k5_the_same_one_again_is_the_same_device(register, api, headers):
    body = browser()
    first, again = await register(body), await register({**body, "name": "Renamed"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["data"] == {
        **first.json()["data"],
        "name": "Renamed",
        "version": 2,
        "updated_at": again.json()["data"]["updated_at"],
    }
    assert "location" not in again.headers
    assert len((await api.get(PATH, headers=headers)).json()["data"]) == 1


async def test_k5_what_another_registers_is_theirs_alone(register, api, headers, test_gateway):
    body, other = browser(), test_gateway.headers(uuid7())
    mine = (await register(body)).json()["data"]
    moved = await api.post(PATH, json=body, headers=other)
    assert moved.status_code == 201
    theirs = moved.json()["data"]
    assert (theirs["version"], theirs["id"] == mine["id"]) == (1, False)
    assert (await api.get(PATH, headers=headers)).json()["data"] == []
    assert (await api.get(f"{PATH}/{mine['id']}", headers=headers)).status_code == 404
    hidden = await api.get(f"{PATH}/{theirs['id']}", headers=headers)
    absent = await api.get(f"{PATH}/{uuid7()}", headers=headers)
    assert (hidden.status_code, hidden.json()["errors"]) == (404, absent.json()["errors"])
    for call in (api.delete(f"{PATH}/{theirs['id']}", headers=headers),):
        assert (await call).status_code == 404
    assert (await api.get(PATH, headers=other)).json()["data"] == [theirs]


async def test_r32_a_repeated_request_registers_once(register):
    body = browser()
    first = await register(body, **{"idempotency-key": "a-key"})
    again = await register(body, **{"idempotency-key": "a-key"})
    assert (again.status_code, again.json()["data"]) == (201, first.json()["data"])
    assert again.headers["idempotency-replayed"] == "true"


async def test_there_are_at_most_20_devices_of_one_user_however_many_come_at_once(register, api, headers):
    answers = await asyncio.gather(*(register() for _ in range(30)))
    assert sorted(one.status_code for one in answers) == [201] * 20 + [422] * 10
    (refused, *_) = [one for one in answers if one.status_code == 422]
    assert codes(refused) == [("TOO_MANY", None)]
    listed = (await api.get(PATH, headers=headers)).json()["data"]
    assert len(listed) == 20
    assert (await register()).status_code == 422


async def test_one_device_that_two_register_at_once_is_one_of_them(api, test_gateway, rows):
    body, users = browser(), [uuid7() for _ in range(20)]
    answers = await asyncio.gather(*(api.post(PATH, json=body, headers=test_gateway.headers(one)) for one in users))
    assert {one.status_code for one in answers} == {201}
    assert await rows("SELECT count(*) FROM notifications.device WHERE user_id = ANY(:users)", users=users) == [(1,)]


@pytest.mark.parametrize(
    ("changed", "code", "field"),
    [
        ({"subscription": None}, "TOKEN_OR_SUBSCRIPTION", None),
        ({"token": "x"}, "TOKEN_OR_SUBSCRIPTION", None),
        ({"kind": "fcm"}, "TOKEN_OR_SUBSCRIPTION", None),
        ({"kind": "pager"}, "NOT_ALLOWED", "kind"),
        ({"name": ""}, "TOO_SHORT", "name"),
        ({"name": "a\nb"}, "INVALID_FORMAT", "name"),
        ({"name": "x" * 101}, "TOO_LONG", "name"),
        ({"color": "red"}, "UNKNOWN_FIELD", "color"),
        ({"subscription": {**SUBSCRIPTION_EXAMPLE, "endpoint": "ftp://x"}}, "URL_NOT_ALLOWED", "subscription.endpoint"),
        (
            {"subscription": {**SUBSCRIPTION_EXAMPLE, "endpoint": "https://169.254.169.254/"}},
            "URL_NOT_ALLOWED",
            "subscription.endpoint",
        ),
        (
            {"subscription": {**SUBSCRIPTION_EXAMPLE, "keys": {"p256dh": "AAAA", "auth": encoded(bytes(16))}}},
            "INVALID_KEY",
            "subscription.keys.p256dh",
        ),
        (
            {"subscription": {**SUBSCRIPTION_EXAMPLE, "keys": {"p256dh": encoded(point()), "auth": "AAAA"}}},
            "INVALID_KEY",
            "subscription.keys.auth",
        ),
        (
            {"subscription": {**SUBSCRIPTION_EXAMPLE, "expirationTime": "soon"}},
            "WRONG_TYPE",
            "subscription.expirationTime",
        ),
    ],
)
async def test_what_is_no_device_is_refused(register, changed, code, field):
    refused = await register({**browser(), **changed})
    assert (refused.status_code, codes(refused)) == (422, [(code, field)])
    assert "169.254" not in refused.text


@pytest.mark.parametrize("kind", ["fcm", "apns"])
async def test_k5_a_kind_that_is_not_set_up_is_refused_as_such(register, kind):
    refused = await register({"kind": kind, "token": "a" * 64, "name": "Phone"})
    assert (refused.status_code, codes(refused)) == (422, [("CHANNEL_NOT_CONFIGURED", "kind")])


async def test_browsers_subscribe_with_the_key_of_the_installation(api, headers, start, contract):
    found = await api.get(f"{PATH}/vapid-key", headers=headers)
    raw = base64.urlsafe_b64decode(found.json()["data"]["public_key"] + "==")
    assert (found.status_code, len(raw), raw[0]) == (200, 65, 4)
    async with start(channels=ChannelSettings()) as bare, contract_client(contract, base_url=_url(bare)) as other:
        refused = await other.get(f"{PATH}/vapid-key", headers=headers)
        assert (refused.status_code, codes(refused)) == (422, [("CHANNEL_NOT_CONFIGURED", None)])
        refused = await other.post(PATH, json=browser(), headers=headers)
        assert codes(refused) == [("CHANNEL_NOT_CONFIGURED", "kind")]


def _url(service):
    return f"http://127.0.0.1:{service.port}"


async def test_who_records_can_register_every_kind(api, headers, start, contract):
    recording = ChannelSettings(drivers="recording")
    async with start(channels=recording) as found, contract_client(contract, base_url=_url(found)) as other:
        for kind in ("fcm", "apns"):
            made = await other.post(PATH, json={"kind": kind, "token": uuid7().hex, "name": "P"}, headers=headers)
            assert made.status_code == 201
        hidden = browser("https://push.invalid.example/x")
        assert (await other.post(PATH, json=hidden, headers=headers)).status_code == 201
        for inside in ("https://169.254.169.254/", "data:text/plain,x", "https://0x7f000001/"):
            refused = await other.post(PATH, json=browser(inside), headers=headers)
            assert (refused.status_code, codes(refused)) == (422, [("URL_NOT_ALLOWED", "subscription.endpoint")])


async def test_tokens_need_their_scope_and_restricted_ones_register_nothing(api, me, test_gateway):
    reads = test_gateway.token_headers(me, "notifications:read")
    writes = test_gateway.token_headers(me, "notifications:write")
    restricted = test_gateway.token_headers(me, "notifications:write", "notifications:read", workspace_id=uuid7())
    assert (await api.get(PATH, headers=reads)).status_code == 200
    assert codes(await api.post(PATH, json=browser(), headers=reads)) == [("INSUFFICIENT_SCOPE", None)]
    assert (await api.post(PATH, json=browser(), headers=writes)).status_code == 201
    assert codes(await api.post(PATH, json=browser(), headers=restricted)) == [("TOKEN_RESTRICTED", None)]
    assert codes(await api.get(PATH, headers=restricted)) == [("TOKEN_RESTRICTED", None)]
    assert (await api.get(PATH)).status_code == 401

"""Where what is planned goes: to all that its user has on a channel at that moment."""

from chassis.db.transactions import transaction
from chassis.ids import uuid7
from notifications_service.deliveries import service
from notifications_service.deliveries.schemas import PlannedDelivery

PLANNED = (
    "SELECT user_id, channel, target_id::text, spacing_seconds FROM notifications.delivery WHERE user_id = ANY(:u)"
)
DEVICES, CHATS = "/api/v1/devices", "/api/v1/chat-connections"


async def has(api, headers, *, devices=0, **connections):
    """Give the caller devices, and connections to chats by kind of chat with the kinds that they are for."""
    found = []
    for _ in range(devices):
        endpoint = f"http://127.0.0.1:1999/{uuid7()}"
        keys = {
            "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
            "auth": "BTBZMqHH6r4Tts7J_aSIgg",
        }
        body = {"kind": "webpush", "name": "F", "subscription": {"endpoint": endpoint, "keys": keys}}
        found.append((await api.post(DEVICES, json=body, headers=headers)).json()["data"]["id"])
    for kind, kinds in connections.items():
        body = {"kind": kind, "name": "C", "scope": {"type": "user"}, "url": "http://127.0.0.1:1999/x", "kinds": kinds}
        found.append((await api.post(CHATS, json=body, headers=headers)).json()["data"]["id"])
    return found


async def planned_for(database, rows, *wanted):
    async with transaction(database) as session:
        count = await service.plan(session, rows=wanted)
    users = [one.user_id for one in wanted]
    found = await rows(PLANNED, u=users)
    assert len(found) == count
    return set(found)


def planned(user, channel, **more):
    told = {"notification_id": uuid7(), "kind": "assigned"}
    return PlannedDelivery(user_id=user, channel=channel, **{**told, **more})


async def test_k5_a_push_goes_to_every_device_of_its_user(api, me, headers, database, rows, test_gateway):
    first, second = await has(api, headers, devices=2)
    await has(api, test_gateway.headers(uuid7()), devices=1)
    nobody = uuid7()
    found = await planned_for(database, rows, planned(me, "push"), planned(nobody, "push"))
    assert found == {(me, "push", first, 0), (me, "push", second, 0)}


async def test_k4_a_notification_goes_to_the_chats_that_want_its_kind(api, me, headers, database, rows):
    every, some, _ = await has(api, headers, slack=None, discord=["assigned"], generic=["mentioned"])
    found = await planned_for(database, rows, planned(me, "chat"))
    assert found == {(me, "chat", every, 60), (me, "chat", some, 0)}


async def test_what_is_turned_off_gets_nothing(api, me, headers, database, rows):
    (target,) = await has(api, headers, slack=None)
    await api.patch(f"{CHATS}/{target}", json={"enabled": False}, headers=headers)
    assert await planned_for(database, rows, planned(me, "chat")) == set()


async def test_mail_needs_no_target_and_one_that_is_named_is_the_only_one(api, me, headers, database, rows):
    first, _ = await has(api, headers, devices=2)
    found = await planned_for(database, rows, planned(me, "email"), planned(me, "push", target_id=first))
    assert found == {(me, "email", None, 0), (me, "push", first, 0)}

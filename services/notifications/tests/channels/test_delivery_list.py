"""How a notification went on each channel, shown to whom it is for."""

import pytest
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from notifications_service.inbox.schemas import NewNotification
from notifications_service.inbox.service import notify

PATH = "/api/v1/notifications"


def codes(answer):
    return [(one["code"], one["field"]) for one in answer.json()["errors"]]


@pytest.fixture
def notified(database, rows):
    """Tells somebody of something; returns the id of the notification."""

    async def notified(user, **about):
        wanted = NewNotification(
            user_id=user, kind="channel_disabled", event_id=uuid7(), event_type="channel.disabled.v1", **about
        )
        async with transaction(database) as session:
            assert await notify(session, wanted=[wanted]) == 1
        ((found,),) = await rows("SELECT id FROM notifications.notification WHERE user_id = :u", u=user)
        return found

    return notified


async def test_how_a_notification_went_is_shown(api, me, headers, notified, book, sending, channel, rows):
    found = await notified(me)
    await rows("DELETE FROM notifications.delivery WHERE notification_id = :n", n=found)
    body = {"name": "My chat", "kind": "slack", "scope": {"type": "user"}, "url": "http://127.0.0.1:1999/"}
    target = (await api.post("/api/v1/chat-connections", json=body, headers=headers)).json()["data"]["id"]
    planned = await book.plan(user_id=me, notification_id=found, target_id=target)
    mail = await book.plan(user_id=me, notification_id=found, channel="email")
    book.skips[mail] = "read"
    async with sending(chat=channel, email=channel):
        await book.becomes(planned, "sent")
        await book.becomes(mail, "skipped")
    listed = await api.get(f"{PATH}/{found}/deliveries", headers=headers)
    assert listed.status_code == 200
    names = ("id", "channel", "target_id", "target_name", "state", "reason", "attempts")
    assert [tuple(one[name] for name in names) for one in listed.json()["data"]] == [
        (str(planned), "chat", target, "My chat", "sent", None, 1),
        (str(mail), "email", None, None, "skipped", "read", 1),
    ]
    await api.delete(f"/api/v1/chat-connections/{target}", headers=headers)
    gone = (await api.get(f"{PATH}/{found}/deliveries", headers=headers)).json()["data"][0]
    assert (gone["target_id"], gone["target_name"]) == (target, None)


async def test_how_anothers_notification_went_is_as_what_is_not(api, me, notified, test_gateway):
    found = await notified(me)
    other = test_gateway.headers(uuid7())
    hidden = await api.get(f"{PATH}/{found}/deliveries", headers=other)
    absent = await api.get(f"{PATH}/{uuid7()}/deliveries", headers=other)
    assert (hidden.status_code, hidden.json()["errors"]) == (404, absent.json()["errors"])


async def test_a_token_needs_its_scope_and_sees_its_part_alone(api, me, notified, test_gateway):
    found = await notified(me)
    path = f"{PATH}/{found}/deliveries"
    assert (await api.get(path, headers=test_gateway.token_headers(me, "notifications:read"))).status_code == 200
    assert codes(await api.get(path, headers=test_gateway.token_headers(me, "tasks:read"))) == [
        ("INSUFFICIENT_SCOPE", None)
    ]
    elsewhere = test_gateway.token_headers(me, "notifications:read", workspace_id=uuid7())
    assert (await api.get(path, headers=elsewhere)).status_code == 404

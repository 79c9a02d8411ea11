"""What an installation for development keeps instead of sending it."""

import asyncio
from datetime import timedelta

import pytest
from chassis.clock import rfc3339, utcnow
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from chassis.settings import SettingsError
from notifications_service import settings
from notifications_service.deliveries.drivers import Postpone
from notifications_service.recording.jobs import purge_recorded
from notifications_service.recording.sender import RecordingDriver

PATH = "/api/v1/recorded-messages"


@pytest.fixture
def recording(database, channel):
    return RecordingDriver(database, channel)


def codes(answer):
    return [(one["code"], one["field"]) for one in answer.json()["errors"]]


async def test_what_would_be_sent_is_kept_and_shown_to_its_user_alone(
    book, sending, recording, channel, api, me, headers, test_gateway
):
    first, second = await book.plan(user_id=me), await book.plan(user_id=me, channel="push")
    async with sending(chat=recording, push=recording):
        row = await book.becomes(first, "sent")
        await book.becomes(second, "sent")
    assert (row["provider_id"], channel.messages) == ("recorded", [])
    listed = (await api.get(PATH, headers=headers)).json()
    found = {one["id"]: one for one in listed["data"]}
    assert set(found) == {str(first), str(second)}
    assert {name: found[str(first)][name] for name in ("channel", "notification_id", "target_id", "content")} == {
        "channel": "chat",
        "notification_id": str(row["notification_id"]),
        "target_id": str(row["target_id"]),
        "content": {"text": "Told"},
    }
    only = (await api.get(PATH, params={"channel": "push"}, headers=headers)).json()["data"]
    assert [one["id"] for one in only] == [str(second)]
    assert (await api.get(PATH, headers=test_gateway.headers(uuid7()))).json()["data"] == []


async def test_one_delivery_is_recorded_once_however_often_it_is_tried(book, sending, recording, api, me, headers):
    planned = await book.plan(user_id=me)
    async with sending(chat=recording):
        await book.becomes(planned, "sent")
        await book.alter(planned, "state = 'new', due_at = now()")
        await book.becomes(planned, "sent")
    assert (await book.row(planned))["attempts"] == 2
    assert len((await api.get(PATH, headers=headers)).json()["data"]) == 1


async def test_what_is_passed_on_is_recorded_when_it_was_taken(book, sending, channel, database, api, me, headers):
    planned = await book.plan(user_id=me, channel="email")

    async def refuse(_message):
        raise Postpone("status_503")

    good, channel.answer = channel.answer, refuse
    async with sending(email=RecordingDriver(database, channel, passes_on=True)):
        await book.attempted(planned)
        assert (await api.get(PATH, headers=headers)).json()["data"] == []
        channel.answer = good
        await book.alter(planned, "due_at = now()")
        row = await book.becomes(planned, "sent")
    assert row["provider_id"] == f"at-the-service-{planned}"
    (found,) = (await api.get(PATH, headers=headers)).json()["data"]
    assert (found["id"], found["channel"]) == (str(planned), "email")


async def test_recorded_messages_are_walked_by_cursor_from_an_instant_on(
    book, sending, recording, api, me, headers, test_gateway
):
    planned = [await book.plan(user_id=me) for _ in range(5)]
    async with sending(chat=recording):
        for one in planned:
            await book.becomes(one, "sent")
    seen, cursor = [], ""
    while cursor is not None:
        part = (await api.get(PATH, params={"per_page": 2, "cursor": cursor}, headers=headers)).json()
        seen += [one["id"] for one in part["data"]]
        cursor = part["meta"]["next_cursor"]
    assert sorted(seen) == sorted(map(str, planned))
    later = rfc3339(utcnow() + timedelta(seconds=5))
    assert (await api.get(PATH, params={"since": later}, headers=headers)).json()["data"] == []
    first = (await api.get(PATH, params={"per_page": 2}, headers=headers)).json()["meta"]["next_cursor"]
    other = await api.get(PATH, params={"cursor": first}, headers=test_gateway.headers(uuid7()))
    assert codes(other) == [("CURSOR_MISMATCH", "cursor")]
    assert codes(await api.get(PATH, params={"cursor": "x"}, headers=headers)) == [("INVALID_CURSOR", "cursor")]
    assert codes(await api.get(PATH, params={"since": "5"}, headers=headers)) == [("INVALID_FORMAT", "since")]


async def test_what_is_recorded_is_kept_for_a_week(book, sending, recording, database, rows):
    old, new = await book.plan(), await book.plan()
    async with sending(chat=recording):
        await asyncio.gather(book.becomes(old, "sent"), book.becomes(new, "sent"))
    await rows("UPDATE notifications.recorded_message SET recorded_at = now() - interval '8 days' WHERE id = :o", o=old)
    async with transaction(database) as session:
        assert await purge_recorded(session) is False
    ids = await rows("SELECT id FROM notifications.recorded_message WHERE id IN (:a, :b)", a=old, b=new)
    assert ids == [(new,)]


REQUIRED = {
    "DATABASE_URL": "postgresql://n@127.0.0.1/t",
    "REDIS_URL": "redis://127.0.0.1",
    "BROKER_URL": "redis://127.0.0.1",
    "IDENTITY_VERIFY_KEY": "key",
    "CURSOR_SECRET": "c" * 32,
    "MAIL_SEALING_KEYS": "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    "NOTIFICATIONS_SEALING_KEYS": "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    "NOTIFICATIONS_TASKS_URL": "http://tasks:8000",
}


@pytest.mark.parametrize("load", [settings.load, settings.load_api])
def test_in_production_nothing_is_recorded(monkeypatch, load):
    for name, value in {**REQUIRED, "NOTIFICATIONS_DRIVERS": "recording"}.items():
        monkeypatch.setenv(name, value)
    assert load().channels.devices == ("webpush", "fcm", "apns")
    monkeypatch.setenv("ENVIRONMENT", "production")
    with pytest.raises(SettingsError, match="NOTIFICATIONS_DRIVERS"):
        load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NOTIFICATIONS_VAPID_KEY", "too-short"),
        ("NOTIFICATIONS_VAPID_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        ("NOTIFICATIONS_FCM_SERVICE_ACCOUNT", "{}"),
        ("NOTIFICATIONS_FCM_SERVICE_ACCOUNT", '{"project_id": "p", "client_email": "e", "private_key": "k"}'),
        ("NOTIFICATIONS_DRIVERS", "fake"),
    ],
)
def test_what_is_no_setting_of_a_channel_stops_the_service_by_name(monkeypatch, name, value):
    for one, given in {**REQUIRED, name: value}.items():
        monkeypatch.setenv(one, given)
    with pytest.raises(SettingsError, match=name) as caught:
        settings.load()
    assert value not in str(caught.value) or value == "fake"

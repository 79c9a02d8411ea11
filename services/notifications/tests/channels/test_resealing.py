"""R43: what chats and devices are reached by is sealed anew when there is a newer key."""

import pytest
from chassis.db.sealed import check_sealed
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from chassis.sealing import KeyRing, SealError
from notifications_service.chat.repository import find_all_unscoped as find_connections
from notifications_service.chat.service import url_of
from notifications_service.devices.repository import find_all_unscoped as find_devices
from notifications_service.devices.schemas import SUBSCRIPTION_EXAMPLE
from notifications_service.devices.service import address_of
from notifications_service.models import METADATA
from notifications_service.scheduler import jobs
from notifications_service.sealed import SEALED
from testkit.jobs import run_to_end

OLD = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
NEW = "k2:QUJDREVGMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODk="


@pytest.fixture
def url(nothing_sealed):
    """Where a chat is."""
    return f"http://127.0.0.1:1999/{uuid7()}"


async def test_r43_addresses_and_urls_are_sealed_anew_with_the_newest_key(api, headers, database, rows, url):
    subscription = {**SUBSCRIPTION_EXAMPLE, "endpoint": f"http://127.0.0.1:1999/{uuid7()}"}
    chat = {"name": "C", "kind": "slack", "scope": {"type": "user"}, "url": url}
    device = {"kind": "webpush", "name": "F", "subscription": subscription}
    made = (await api.post("/api/v1/chat-connections", json=chat, headers=headers)).json()["data"]
    registered = (await api.post("/api/v1/devices", json=device, headers=headers)).json()["data"]
    unreadable = (await api.post("/api/v1/chat-connections", json=chat, headers=headers)).json()["data"]["id"]
    await rows("UPDATE notifications.chat_connection SET url_sealed = 'v1.k0.AAAA' WHERE id = :id", id=unreadable)
    both, newest = KeyRing.parse(f"{NEW},{OLD}"), KeyRing.parse(NEW)
    await run_to_end(database, jobs(30, ring=both), "reseal")
    async with database.reader.connect() as reader:
        (connection,) = (await find_connections(reader, [made["id"]])).values()
        (found,) = (await find_devices(reader, [registered["id"]])).values()
    assert url_of(connection, newest) == url
    assert subscription["endpoint"] in address_of(found, newest)
    assert (connection["version"], found["version"]) == (1, 1)
    kept = await rows("SELECT url_sealed FROM notifications.chat_connection WHERE id = :id", id=unreadable)
    assert kept == [("v1.k0.AAAA",)]


async def test_r43_what_is_sealed_with_a_key_that_is_missing_is_told_at_the_start(api, headers, database, rows, url):
    body, both = {"kind": "slack", "scope": {"type": "user"}, "url": url}, KeyRing.parse(f"{NEW},{OLD}")
    made = (await api.post("/api/v1/chat-connections", json=body, headers=headers)).json()["data"]
    async with transaction(database) as session:
        await check_sealed(session, SEALED, ring=both)
    await rows("UPDATE notifications.chat_connection SET url_sealed = 'v1.k0.AAAA' WHERE id = :id", id=made["id"])
    async with transaction(database) as session:
        with pytest.raises(SealError, match=r"chat_connection\.url_sealed .* \['k0'\]"):
            await check_sealed(session, SEALED, ring=both)


def test_r43_every_column_that_is_sealed_is_known():
    columns = {column for table in METADATA.tables.values() for column in table.columns if "sealed" in column.name}
    # Tokens of mails are sealed by who asks for the mail.
    others = {one for one in columns if one.table.name == "mail_delivery"}
    assert {one.column for one in SEALED} == columns - others
    assert len(SEALED) == 4

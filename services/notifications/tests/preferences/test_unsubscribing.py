"""Mail turned off by a link, and an address that is refused and comes back."""

import asyncio

import httpx2
import pytest
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from chassis.sealing import KeyRing
from notifications_service.emails.rules import SUBJECTS, Unsubscription, seal
from notifications_service.emails.service import addresses_of, give_up_address

PATH, CHANNELS = "/api/v1/unsubscribe", "/api/v1/users/me/channels"
PREFERENCES = "/api/v1/users/me/notification-preferences"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
def link(service, account):
    def link(subject="commented", user_id=None):
        return {"token": seal(service.app.state.channels.ring, Unsubscription(user_id or account.id, subject))}

    return link


@pytest.fixture
def headers(account, test_gateway):
    return test_gateway.headers(account.id)


@pytest.fixture
def mail_lines(api, headers):
    async def mail_lines():
        found = (await api.get(PREFERENCES, headers=headers)).json()["data"]["preferences"]
        return {(one["kind"], one["mode"]) for one in found if one["channel"] == "email"}

    return mail_lines


async def test_k3_one_click_turns_a_kind_off_and_once_more_changes_nothing(api, link, headers, mail_lines):
    wanted = link()
    for _ in range(2):
        answer = await api.post(PATH, params=wanted, data=ONE_CLICK)
        assert answer.status_code == 200
        assert answer.json()["data"] == {"subject": "commented", "unsubscribed": True}
        assert answer.headers["cache-control"] == "no-store"
    assert await mail_lines() == {("commented", "off")}
    assert (await api.get(PREFERENCES, headers=headers)).headers["etag"] == '"2"'


@pytest.mark.parametrize("subject", sorted(SUBJECTS - {"digest"}))
async def test_k3_every_kind_can_be_turned_off_and_all_of_them(api, link, mail_lines, subject):
    assert (await api.post(PATH, params=link(subject), data=ONE_CLICK)).status_code == 200
    assert await mail_lines() == {(subject, "off")}


async def test_k3_the_link_of_a_digest_ends_digests_and_nothing_else(api, link, headers, mail_lines):
    daily = {"preferences": [], "digest": {"frequency": "daily", "at": "07:30"}}
    await api.put(PREFERENCES, json=daily, headers=headers)
    assert (await api.post(PATH, params=link("digest"), data=ONE_CLICK)).status_code == 200
    digest = (await api.get(PREFERENCES, headers=headers)).json()["data"]["digest"]
    assert (digest["frequency"], digest["at"], digest["next_at"]) == ("off", "07:30", None)
    assert await mail_lines() == set()


async def test_k3_opening_the_link_shows_a_page_and_changes_nothing(api, link, headers):
    for _ in range(2):
        page = await api.get(PATH, params=link("status_changed"))
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert '<form method="post">' in page.text
        assert "“status changed” notifications" in page.text
        assert page.headers["referrer-policy"] == "no-referrer"
    assert (await api.get(PREFERENCES, headers=headers)).headers["etag"] == '"0"'


async def test_k3_a_browser_that_asks_for_it_gets_a_page_that_says_so(api, link, mail_lines):
    page = await api.post(PATH, params=link("*"), data={}, headers={"accept": "text/html,*/*;q=0.8"})
    assert page.headers["content-type"].startswith("text/html")
    assert "no more mail of notifications" in page.text
    assert await mail_lines() == {("*", "off")}


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_k3_a_link_that_is_none_of_ours_is_refused_and_not_repeated(
    api, link, service, mail_lines, account, method
):
    ring = service.app.state.channels.ring
    good = link()["token"]
    foreign = seal(KeyRing({ring.newest: b"z" * 32}), Unsubscription(account.id, "commented"))
    for token in ("", "x", good[:-2] + "AA", foreign, ring.seal(b"nobody", place="emails|unsubscribe|token")):
        answer = await api.request(method, PATH, params={"token": token})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["code"] == "UNSUBSCRIBE_LINK_INVALID"
        assert "nobody" not in answer.text
    assert (await api.request(method, PATH)).status_code == 422
    assert (await api.request(method, PATH, params={"token": "x" * 301})).status_code == 422
    assert await mail_lines() == set()


async def test_k3_many_clicks_at_once_are_one(api, link, mail_lines, headers):
    answers = await asyncio.gather(*(api.post(PATH, params=link(), data=ONE_CLICK) for _ in range(20)))
    assert {one.status_code for one in answers} == {200}
    assert await mail_lines() == {("commented", "off")}
    assert (await api.get(PREFERENCES, headers=headers)).headers["etag"] == '"2"'


async def test_k3_a_link_of_somebody_who_is_gone_leaves_nothing(api, link, tell, account, told_of, rows):
    wanted = link()
    await tell(account.event(), told_of("user.deleted.v1", account.id, 9, {"id": str(account.id)}))
    assert (await api.post(PATH, params=wanted, data=ONE_CLICK)).status_code == 200
    query = "SELECT count(*) FROM notifications.notification_preference WHERE user_id = :id"
    assert await rows(query, id=account.id) == [(0,)]


async def state(api, headers):
    inbox, mail = (await api.get(CHANNELS, headers=headers)).json()["data"]
    assert (inbox["channel"], inbox["state"], mail["channel"]) == ("inbox", "on", "email")
    return mail["state"], mail["address"], mail["disabled_reason"]


async def test_k3_mail_reaches_verified_addresses_that_no_server_refused(api, tell, account, headers, database):
    async def reached():
        async with transaction(database) as session:
            return await addresses_of(session, user_ids=[account.id, uuid7()])

    assert await state(api, headers) == ("unknown", None, None)
    assert (await api.post(f"{CHANNELS}/email/enable", headers=headers)).status_code == 409
    await tell(account.event("user.registered.v1", email_verified=False))
    assert await state(api, headers) == ("unverified", account.email, None)
    assert await reached() == {}
    await tell(account.event(email_verified=True))
    assert await reached() == {account.id: account.email}
    async with transaction(database) as session:
        for _ in range(2):
            await give_up_address(session, user_id=account.id, address=account.email, reason="recipient_550")
    told = (await api.get("/api/v1/notifications", headers=headers)).json()["data"]
    assert [one["kind"] for one in told] == ["channel_disabled"]
    assert account.email in told[0]["text"]
    assert await state(api, headers) == ("disabled", account.email, "recipient_550")
    assert await reached() == {}
    enabled = await api.post(f"{CHANNELS}/email/enable", headers=headers)
    assert enabled.json()["data"]["state"] == "on"
    assert await reached() == {account.id: account.email}


async def test_k3_a_new_address_is_another_matter(api, tell, account, headers, database):
    await tell(account.event())
    async with transaction(database) as session:
        await give_up_address(session, user_id=account.id, address=account.email, reason="recipient_550")
    await tell(account.event(email=f"new-{account.email}"))
    assert await state(api, headers) == ("on", f"new-{account.email}", None)


async def test_k3_closed_accounts_get_no_mail(tell, account, database):
    await tell(account.event(status="disabled"))
    async with transaction(database) as session:
        assert await addresses_of(session, user_ids=[account.id]) == {}


async def test_k3_the_link_needs_no_content_type_of_ours(service, link):
    """Mail programs send what they like: a form, its parts, or nothing."""
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{service.port}", timeout=60) as client:
        for body in ({"files": {"List-Unsubscribe": (None, "One-Click")}}, {"content": b""}, {"content": b"{"}):
            assert (await client.post(PATH, params=link(), **body)).status_code == 200

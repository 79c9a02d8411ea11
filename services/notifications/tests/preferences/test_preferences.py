"""What somebody wants to be told: read, replaced as a whole, and explained."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from chassis.clock import utcnow
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from notifications_service.kinds import CHANNELS, KINDS
from notifications_service.preferences.rules import Place, Question
from notifications_service.preferences.service import decide, turn_off_mail

PATH = "/api/v1/users/me/notification-preferences"
NOTHING = {"preferences": []}
NIGHT = {"tz": "Europe/Berlin", "from": "22:00", "to": "07:00"}
EVERY_DAY = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def line(channel="email", mode="off", kind="*", scope=None):
    return {"kind": kind, "channel": channel, "mode": mode, **({} if scope is None else {"scope": scope})}


def scoped(kind, scope_id):
    return {"type": kind, "id": str(scope_id)}


@pytest.fixture
def me():
    return uuid7()


@pytest.fixture
def headers(me, test_gateway):
    return test_gateway.headers(me)


@pytest.fixture
def put(api, headers):
    async def put(body, **more):
        return await api.put(PATH, json={**NOTHING, **body}, headers={**headers, **more})

    return put


@pytest.fixture
async def places(feed, world, me):
    """A workspace that the caller is a member of, with an open project and a private one, and another workspace."""
    opened, private, beyond = uuid7(), uuid7(), uuid7()
    other = type(world)()
    await feed.keep(world.joins(me), world.project(opened), world.project(private, visibility="private"))
    await feed.keep(other.joins(uuid7()), other.project(beyond))
    return {"workspace": world.id, "open": opened, "private": private, "other": other.id, "beyond": beyond}


def codes(answer):
    return [(one["code"], one["field"]) for one in answer.json()["errors"]]


async def test_k2_who_has_said_nothing_reads_the_defaults(api, headers):
    answer = await api.get(PATH, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["etag"] == '"0"'
    assert answer.json()["data"] == {
        "preferences": [],
        "quiet_hours": None,
        "digest": {"frequency": "off", "at": "08:00", "day": "mon", "tz": None, "next_at": None},
        "version": 0,
        "updated_at": None,
    }
    assert (await api.get(PATH, headers={**headers, "if-none-match": '"0"'})).status_code == 304


async def test_k2_put_replaces_all_of_them(api, headers, put):
    first = await put({"preferences": [line(), line("push", "instant", "commented")], "quiet_hours": NIGHT})
    assert first.status_code == 200
    assert first.headers["etag"] == '"1"'
    assert first.json()["data"]["quiet_hours"] == {**NIGHT, "days": EVERY_DAY, "urgent_bypass": False}
    assert [one["kind"] for one in first.json()["data"]["preferences"]] == ["*", "commented"]
    second = await put({"digest": {"frequency": "weekly", "day": "fri", "at": "17:30", "tz": "US/Eastern"}})
    data = second.json()["data"]
    assert (data["preferences"], data["quiet_hours"], data["version"]) == ([], None, 2)
    assert data["digest"]["tz"] == "America/New_York"
    assert datetime.fromisoformat(data["digest"]["next_at"]) > utcnow()
    assert (await api.get(PATH, headers=headers)).json()["data"] == data


async def test_k2_a_version_that_is_not_the_last_one_is_refused_with_what_is_there(put):
    assert (await put({}, **{"if-match": '"1"'})).status_code == 412
    assert (await put({}, **{"if-match": '"0"'})).status_code == 200
    stale = await put({"preferences": [line()]}, **{"if-match": '"0"'})
    assert stale.status_code == 412
    assert stale.json()["errors"][0]["code"] == "VERSION_CONFLICT"
    assert stale.json()["data"]["current"]["version"] == 1
    assert (await put({}, **{"if-match": '"1"'})).json()["data"]["version"] == 2
    assert (await put({}, **{"if-match": "*"})).json()["data"]["version"] == 3
    assert (await put({}, **{"if-match": "nonsense"})).status_code == 400


async def test_k2_of_twenty_who_change_the_same_version_at_once_one_does(put):
    for number in range(3):
        answers = await asyncio.gather(*(put({}, **{"if-match": f'"{number}"'}) for _ in range(20)))
        assert Counter(one.status_code for one in answers) == {200: 1, 412: 19}


async def test_r32_a_repeated_key_gets_the_first_answer(put):
    first, again = [await put({"preferences": [line()]}, **{"idempotency-key": "once"}) for _ in range(2)]
    assert first.content == again.content
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["data"]["version"] == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"preferences": None}, ("WRONG_TYPE", "preferences")),
        ({"preferences": [line(mode="sometimes")]}, ("NOT_ALLOWED", "preferences.0.mode")),
        ({"preferences": [line(kind="sometimes")]}, ("NOT_ALLOWED", "preferences.0.kind")),
        ({"preferences": [line("inbox", "digest")]}, ("DIGEST_IS_MAIL", "preferences.0")),
        ({"preferences": [line(), line()]}, ("REPEATED_PREFERENCE", None)),
        ({"preferences": [line(scope={"type": "workspace"})]}, ("SCOPE_ID", "preferences.0.scope")),
        ({"quiet_hours": {**NIGHT, "to": "22:00"}}, ("QUIET_HOURS_EMPTY", "quiet_hours")),
        ({"quiet_hours": {**NIGHT, "tz": "Europe/Bärlin"}}, ("INVALID_TIMEZONE", "quiet_hours.tz")),
        ({"quiet_hours": {**NIGHT, "from": "24:00"}}, ("INVALID_FORMAT", "quiet_hours.from")),
        ({"quiet_hours": {**NIGHT, "days": []}}, ("TOO_FEW", "quiet_hours.days")),
        ({"digest": {"frequency": "hourly"}}, ("NOT_ALLOWED", "digest.frequency")),
        ({"digest": {"frequency": "daily", "at": "8:00"}}, ("INVALID_FORMAT", "digest.at")),
        ({"colour": "red"}, ("UNKNOWN_FIELD", "colour")),
    ],
)
async def test_k2_what_makes_no_sense_is_refused_and_changes_nothing(api, headers, put, body, expected):
    answer = await put(body)
    assert answer.status_code == 422
    assert (await api.get(PATH, headers=headers)).json()["data"]["version"] == 0
    assert codes(answer) == [expected]


async def test_k2_only_places_that_the_caller_sees_are_taken(put, places):
    seen = [scoped("workspace", places["workspace"]), scoped("project", places["open"])]
    assert (await put({"preferences": [line(scope=one) for one in seen]})).status_code == 200
    for scope, code in (
        (scoped("workspace", places["other"]), "WORKSPACE_NOT_FOUND"),
        (scoped("workspace", places["open"]), "WORKSPACE_NOT_FOUND"),
        (scoped("workspace", uuid7()), "WORKSPACE_NOT_FOUND"),
        (scoped("project", places["private"]), "PROJECT_NOT_FOUND"),
        (scoped("project", places["beyond"]), "PROJECT_NOT_FOUND"),
        (scoped("project", places["workspace"]), "PROJECT_NOT_FOUND"),
    ):
        answer = await put({"preferences": [line(), line(scope=scope)]})
        assert codes(answer) == [(code, "preferences.1.scope.id")]


async def test_k2_lines_of_places_out_of_sight_are_left_out(api, headers, put, places, feed, world, me):
    kept = [line(), line(scope=scoped("workspace", places["workspace"])), line(scope=scoped("project", places["open"]))]
    await put({"preferences": kept})
    await feed.keep(world.leaves(me))
    shown = (await api.get(PATH, headers=headers)).json()["data"]["preferences"]
    assert [one["scope"]["type"] for one in shown] == ["all"]


async def test_k2_effective_says_what_holds_and_why(api, headers, put, places):
    await put({"preferences": [line(kind="commented", mode="instant", scope=scoped("project", places["open"]))]})

    async def effect(**asked):
        answer = await api.get(f"{PATH}/effective", params={"kind": "commented", **asked}, headers=headers)
        assert answer.status_code == 200
        return {one["channel"]: (one["mode"], one["source"]) for one in answer.json()["data"]["channels"]}

    everywhere = {"inbox": ("instant", "default"), "email": ("digest", "default")}
    assert await effect() == {**everywhere, "chat": ("off", "default"), "push": ("off", "default")}
    assert (await effect(project_id=str(places["open"])))["email"] == ("instant", "preference")
    assert (await effect(workspace_id=str(places["workspace"])))["email"] == ("digest", "default")
    for asked, code in (
        ({"workspace_id": str(places["other"])}, "WORKSPACE_NOT_FOUND"),
        ({"project_id": str(places["private"])}, "PROJECT_NOT_FOUND"),
        ({"workspace_id": str(places["open"])}, "WORKSPACE_NOT_FOUND"),
        ({"project_id": str(places["workspace"])}, "PROJECT_NOT_FOUND"),
    ):
        answer = await api.get(f"{PATH}/effective", params={"kind": "commented", **asked}, headers=headers)
        assert codes(answer) == [(code, next(iter(asked)))]


async def test_k2_effective_says_that_what_is_not_in_the_inbox_is_told_nowhere(api, headers, put):
    await put({"preferences": [line(kind="assigned", channel="inbox", mode="off")]})
    answer = await api.get(f"{PATH}/effective", params={"kind": "assigned"}, headers=headers)
    told = [(one["channel"], one["mode"], one["preference"]["channel"]) for one in answer.json()["data"]["channels"]]
    assert told == [(channel, "off", "inbox") for channel in ("inbox", "email", "chat", "push")]


async def test_k2_effective_tells_of_quiet_hours(api, headers, put):
    """Quiet for all but the minute before now, so that now is in them."""
    now = utcnow()
    begins, ends = (now - timedelta(minutes=2)).strftime("%H:%M"), (now - timedelta(minutes=3)).strftime("%H:%M")
    await put({"quiet_hours": {"tz": "UTC", "from": begins, "to": ends}})
    answer = await api.get(f"{PATH}/effective", params={"kind": "assigned"}, headers=headers)
    waits = {one["channel"]: one["waits_for_quiet_hours"] for one in answer.json()["data"]["channels"]}
    assert waits == {"inbox": False, "email": True, "chat": True, "push": True}


async def test_a8_tokens_need_the_scope_and_no_restriction(api, test_gateway, me):
    def headers(verb, noun="notifications", **more):
        return test_gateway.token_headers(me, f"{noun}:{verb}", **more)

    reading, writing, restricted = headers("read"), headers("write"), headers("read", project_ids=[])
    assert (await api.get(PATH, headers=reading)).status_code == 200
    assert (await api.put(PATH, json=NOTHING, headers=writing)).status_code == 200
    for refused, code in (
        (await api.get(PATH, headers=headers("read", "tasks")), "INSUFFICIENT_SCOPE"),
        (await api.put(PATH, json=NOTHING, headers=reading), "INSUFFICIENT_SCOPE"),
        (await api.get(PATH, headers=headers("read", workspace_id=uuid7())), "TOKEN_RESTRICTED"),
        (
            await api.get(f"{PATH}/effective?kind=assigned", headers=restricted),
            "TOKEN_RESTRICTED",
        ),
        (await api.put(PATH, json=NOTHING, headers=headers("write", project_ids=[])), "TOKEN_RESTRICTED"),
    ):
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (403, code)
    assert (await api.get(PATH)).status_code == 401


@pytest.fixture
def decided(database):
    async def decided(*user_ids: UUID, now=None, urgent=False, **place):
        async with transaction(database) as session:
            where = Place(place.get("workspace_id"), place.get("project_id"))
            questions = {Question(one, "commented", where, urgent) for one in user_ids}
            found = await decide(session, questions=questions, now=now or utcnow())
            return {question.user_id: decisions for question, decisions in found.items()}

    return decided


async def test_k2_everybody_is_decided_for_by_what_they_ask_for(put, decided, me):
    await put({"preferences": [line("inbox"), line("email", "instant")], "quiet_hours": NIGHT})
    stranger = uuid7()
    now = datetime(2026, 6, 10, 21, tzinfo=UTC)
    found = await decided(me, stranger, now=now)
    assert {channel: one.mode for channel, one in found[stranger].items()} == {
        "inbox": "instant",
        "email": "digest",
        "chat": "off",
        "push": "off",
    }
    assert {channel: one.mode for channel, one in found[me].items()} == {
        "inbox": "off",
        "email": "instant",
        "chat": "off",
        "push": "off",
    }
    assert found[me]["email"].due_at == datetime(2026, 6, 11, 5, tzinfo=UTC)
    assert found[stranger]["email"].due_at == found[me]["inbox"].due_at == now
    assert await decided() == {}
    assert set(found[me]) == set(CHANNELS)


async def test_k2_without_a_zone_the_profile_counts_also_when_it_changes(tell, account, api, test_gateway, decided):
    headers = test_gateway.headers(account.id)
    await tell(account.event(timezone="Asia/Kathmandu"))
    body = {**NOTHING, "quiet_hours": {"from": "22:00", "to": "07:00"}, "digest": {"frequency": "daily"}}
    kathmandu = (await api.put(PATH, json=body, headers=headers)).json()["data"]["digest"]["next_at"]
    assert kathmandu.endswith("T02:15:00Z")
    await tell(account.event(timezone="America/New_York"))
    found = (await api.get(PATH, headers=headers)).json()["data"]
    assert found["version"] == 1
    assert datetime.fromisoformat(found["digest"]["next_at"]).hour in {12, 13}
    now = datetime(2026, 6, 11, 3, tzinfo=UTC)
    assert (await decided(account.id, now=now))[account.id]["email"].due_at == datetime(2026, 6, 11, 11, tzinfo=UTC)


async def test_k2_of_who_is_gone_no_preference_is_left(tell, account, told_of, api, test_gateway, rows):
    await tell(account.event())
    await api.put(PATH, json={"preferences": [line()]}, headers=test_gateway.headers(account.id))
    await tell(told_of("user.deleted.v1", account.id, 9, {"id": str(account.id)}))
    query = "SELECT count(*) FROM notifications.notification_preference WHERE user_id = :id"
    assert await rows(query, id=account.id) == [(0,)]


async def test_k3_of_many_kinds_of_mail_turned_off_at_once_none_is_lost(database, api, headers, me, put):
    await put({"preferences": [line("push", "instant", "commented")]})

    async def click(kind):
        async with transaction(database) as session:
            await turn_off_mail(session, user_id=me, kind=kind)

    await asyncio.gather(*(click(kind) for kind in [*KINDS, *KINDS]))
    found = (await api.get(PATH, headers=headers)).json()["data"]
    told = sorted((one["kind"], one["channel"], one["mode"]) for one in found["preferences"])
    assert told == sorted([("commented", "push", "instant"), *((kind, "email", "off") for kind in KINDS)])
    assert found["version"] == 1 + len(KINDS)

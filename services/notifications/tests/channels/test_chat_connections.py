"""Connections to chats: one's own, and those of workspaces and projects for who manages them."""

import asyncio

import pytest
from chassis.ids import uuid7
from chassis.sealing import KeyRing
from notifications_service.chat.rules import DEFAULT_EVENTS, url_place
from notifications_service.scheduler import jobs
from notifications_service.settings import ChannelSettings
from testkit.contract import contract_client
from testkit.jobs import run_to_end

PATH = "/api/v1/chat-connections"
RING = KeyRing.parse("k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")


def own(**changed):
    body = {"name": "Just me", "kind": "slack", "scope": {"type": "user"}, "url": "http://127.0.0.1:1999/T0/secret"}
    return {**body, **changed}


def scoped(kind, scope_id, **changed):
    return own(scope={"type": kind, "id": str(scope_id)}, **changed)


def codes(answer):
    return [(one["code"], one["field"]) for one in answer.json()["errors"]]


@pytest.fixture
def connect(api, headers):
    async def connect(body=None, **more):
        return await api.post(PATH, json=body or own(), headers={**headers, **more})

    return connect


@pytest.fixture
async def people(feed, world):
    """A workspace with an owner, an admin, a member, a guest, and somebody who manages one project as a member."""
    found = {name: uuid7() for name in ("owner", "admin", "member", "guest", "manager", "stranger")}
    project, private = uuid7(), uuid7()
    roles = {"owner": "owner", "admin": "admin", "member": "member", "guest": "guest", "manager": "member"}
    joining = [world.joins(found[name], role=role) for name, role in roles.items()]
    managing = world.role_in(project, found["manager"])
    managing.data["resource"]["role"] = "manager"
    await feed.keep(*joining, world.project(project), world.project(private, visibility="private"), managing)
    return {**found, "workspace": world.id, "project": project, "private": private}


async def test_k4_a_connection_is_made_shown_changed_and_deleted(api, headers, me, connect):
    made = await connect(own(kinds=["mentioned", "assigned", "mentioned"]))
    assert made.status_code == 201
    found = made.json()["data"]
    assert {name: found[name] for name in found if not name.endswith("_at")} == {
        "id": found["id"],
        "name": "Just me",
        "kind": "slack",
        "scope": {"type": "user", "id": None},
        "workspace_id": None,
        "host": "127.0.0.1",
        "kinds": ["mentioned", "assigned"],
        "events": None,
        "enabled": True,
        "disabled_reason": None,
        "owner_id": str(me),
        "version": 1,
    }
    where = made.headers["location"]
    read = await api.get(where, headers=headers)
    assert (read.json()["data"], read.headers["etag"]) == (found, '"1"')
    assert (await api.get(where, headers={**headers, "if-none-match": '"1"'})).status_code == 304
    patch = {"name": "Later", "enabled": False, "kinds": None}
    changed = await api.patch(where, json=patch, headers={**headers, "if-match": '"1"'})
    after = changed.json()["data"]
    told = [after[name] for name in ("name", "enabled", "disabled_reason", "kinds")]
    assert told == ["Later", False, "owner", None]
    stale = await api.patch(where, json={"name": "X"}, headers={**headers, "if-match": '"1"'})
    assert (stale.status_code, stale.json()["data"]["current"]) == (412, after)
    back = (await api.patch(where, json={"enabled": True}, headers=headers)).json()["data"]
    assert (back["enabled"], back["disabled_reason"], back["version"]) == (True, None, 3)
    assert [one["id"] for one in (await api.get(PATH, headers=headers)).json()["data"]] == [found["id"]]
    assert (await api.delete(where, headers={**headers, "if-match": '"1"'})).status_code == 412
    gone = await api.delete(where, headers={**headers, "prefer": "return=minimal"})
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await api.get(where, headers=headers)).status_code == 404
    assert (await api.delete(where, headers=headers)).status_code == 404
    assert (await api.patch(where, json={"name": "X"}, headers=headers)).status_code == 404


async def test_r43_where_a_connection_leads_is_shown_nowhere_and_sealed(api, headers, connect, rows):
    made = await connect()
    query = "SELECT chat_connection::text, url_sealed FROM notifications.chat_connection WHERE id = :id"
    ((kept, sealed),) = await rows(query, id=made.json()["data"]["id"])
    assert not [part for part in ("/T0", "T0/", "/secret") if part in kept + made.text]
    place = url_place(made.json()["data"]["id"])
    assert RING.open(sealed, place=place) == b"http://127.0.0.1:1999/T0/secret"
    elsewhere = {"url": "http://127.0.0.1:1998/other-place"}
    changed = await api.patch(made.headers["location"], json=elsewhere, headers=headers)
    ((_, sealed),) = await rows(query, id=made.json()["data"]["id"])
    assert RING.open(sealed, place=place) == b"http://127.0.0.1:1998/other-place"
    assert "other-place" not in changed.text


@pytest.mark.parametrize("who", ["owner", "admin"])
async def test_k4_who_runs_a_workspace_connects_it_and_its_projects(api, people, test_gateway, who):
    headers = test_gateway.headers(people[who])
    made = await api.post(PATH, json=scoped("workspace", people["workspace"]), headers=headers)
    found = made.json()["data"]
    assert (made.status_code, found["events"]) == (201, list(DEFAULT_EVENTS))
    assert found["scope"] == {"type": "workspace", "id": str(people["workspace"])}
    inner = await api.post(PATH, json=scoped("project", people["private"], events=["task.*"]), headers=headers)
    assert (inner.status_code, inner.json()["data"]["workspace_id"]) == (201, str(people["workspace"]))
    assert inner.json()["data"]["scope"] == {"type": "project", "id": str(people["private"])}


async def test_k4_who_manages_a_project_connects_that_alone(api, people, test_gateway):
    headers = test_gateway.headers(people["manager"])
    made = await api.post(PATH, json=scoped("project", people["project"]), headers=headers)
    assert made.status_code == 201
    assert (await api.post(PATH, json=scoped("workspace", people["workspace"]), headers=headers)).status_code == 403
    hidden = await api.post(PATH, json=scoped("project", people["private"]), headers=headers)
    assert (hidden.status_code, codes(hidden)) == (422, [("PROJECT_NOT_FOUND", "scope.id")])


@pytest.mark.parametrize(
    ("who", "workspace", "project"), [("member", 403, 403), ("guest", 403, 422), ("stranger", 422, 422)]
)
async def test_who_manages_nothing_connects_nothing(api, people, test_gateway, rows, who, workspace, project):
    headers = test_gateway.headers(people[who])
    answers = [
        await api.post(PATH, json=scoped("workspace", people["workspace"]), headers=headers),
        await api.post(PATH, json=scoped("project", people["project"]), headers=headers),
    ]
    assert [one.status_code for one in answers] == [workspace, project]
    count = "SELECT count(*) FROM notifications.chat_connection WHERE owner_id = :u"
    assert await rows(count, u=people[who]) == [(0,)]


async def test_what_others_manage_is_as_what_is_not(api, people, test_gateway):
    admin = test_gateway.headers(people["admin"])
    made = await api.post(PATH, json=scoped("workspace", people["workspace"]), headers=admin)
    mine = await api.post(PATH, json=own(), headers=admin)
    where, private = made.headers["location"], mine.headers["location"]
    for who in ("manager", "member", "guest", "stranger"):
        headers = test_gateway.headers(people[who])
        absent = await api.get(f"{PATH}/{uuid7()}", headers=headers)
        for path in (where, private):
            for call in (
                api.get(path, headers=headers),
                api.patch(path, json={"enabled": False}, headers=headers),
                api.delete(path, headers=headers),
                api.post(f"{path}/test", headers=headers),
            ):
                hidden = await call
                assert (hidden.status_code, hidden.json()["errors"]) == (404, absent.json()["errors"])
        assert (await api.get(PATH, headers=headers)).json()["data"] == []
    owner = test_gateway.headers(people["owner"])
    assert (await api.get(private, headers=owner)).status_code == 404
    assert (await api.patch(where, json={"enabled": False}, headers=owner)).json()["data"]["version"] == 2


async def test_who_runs_a_workspace_no_more_sees_its_connections_no_more(api, people, test_gateway, feed, world):
    admin = test_gateway.headers(people["admin"])
    made = await api.post(PATH, json=scoped("workspace", people["workspace"]), headers=admin)
    await feed.keep(world.leaves(people["admin"]))
    assert (await api.get(made.headers["location"], headers=admin)).status_code == 404
    assert (await api.get(made.headers["location"], headers=test_gateway.headers(people["owner"]))).status_code == 200


async def test_connections_are_walked_and_asked_for_by_place(api, people, test_gateway):
    headers = test_gateway.headers(people["owner"])
    of_workspace = [scoped("workspace", people["workspace"]) for _ in range(3)]
    bodies = [own(), *of_workspace, scoped("project", people["project"])]
    made = [(await api.post(PATH, json=body, headers=headers)).json()["data"]["id"] for body in bodies]
    seen, cursor = [], ""
    while cursor is not None:
        part = (await api.get(PATH, params={"per_page": 2, "cursor": cursor}, headers=headers)).json()
        seen += [one["id"] for one in part["data"]]
        cursor = part["meta"]["next_cursor"]
    assert seen == made
    for params, wanted in (
        ({"scope": "user"}, made[:1]),
        ({"scope": "project"}, made[4:]),
        ({"workspace_id": str(people["workspace"])}, made[1:]),
        ({"workspace_id": str(uuid7())}, []),
    ):
        found = await api.get(PATH, params=params, headers=headers)
        assert [one["id"] for one in found.json()["data"]] == wanted


async def test_a_scope_has_at_most_20_connections_however_many_come_at_once(connect):
    answers = await asyncio.gather(*(connect() for _ in range(30)))
    assert sorted(one.status_code for one in answers) == [201] * 20 + [422] * 10
    (refused, *_) = [one for one in answers if one.status_code == 422]
    assert codes(refused) == [("TOO_MANY", None)]


async def test_r32_a_repeated_request_connects_once(connect, api, headers):
    first = await connect(**{"idempotency-key": "a-key"})
    again = await connect(**{"idempotency-key": "a-key"})
    assert (again.status_code, again.json()["data"]) == (201, first.json()["data"])
    assert len((await api.get(PATH, headers=headers)).json()["data"]) == 1


@pytest.mark.parametrize(
    ("changed", "code", "field"),
    [
        ({"url": "https://169.254.169.254/x"}, "URL_NOT_ALLOWED", "url"),
        ({"url": "https://user:pw@chat.example/x"}, "URL_NOT_ALLOWED", "url"),
        ({"url": "file:///etc/passwd"}, "URL_NOT_ALLOWED", "url"),
        ({"kind": "irc"}, "NOT_ALLOWED", "kind"),
        ({"scope": {"type": "user", "id": str(uuid7())}}, "SCOPE_ID", "scope"),
        ({"scope": {"type": "workspace"}}, "SCOPE_ID", "scope"),
        ({"events": ["task.*"]}, "KINDS_OR_EVENTS", None),
        ({"kinds": ["painted"]}, "NOT_ALLOWED", "kinds.0"),
        ({"kinds": []}, "TOO_FEW", "kinds"),
        ({"enabled": "yes"}, "WRONG_TYPE", "enabled"),
        ({"secret": "x"}, "UNKNOWN_FIELD", "secret"),
        ({"name": "x" * 101}, "TOO_LONG", "name"),
    ],
)
async def test_what_is_no_connection_is_refused(connect, changed, code, field):
    refused = await connect(own(**changed))
    assert (refused.status_code, codes(refused)) == (422, [(code, field)])
    assert "pw" not in refused.text


async def test_an_event_that_there_is_not_is_told_with_what_was_meant(api, people, test_gateway):
    headers = test_gateway.headers(people["owner"])
    body = scoped("workspace", people["workspace"], events=["task.*", "task.create"])
    refused = await api.post(PATH, json=body, headers=headers)
    assert (refused.status_code, codes(refused)) == (422, [("UNKNOWN_EVENT", "events.1")])
    assert "task.created" in refused.json()["errors"][0]["hint"]


async def test_kinds_are_of_ones_own_and_events_of_a_workspace(api, connect, headers, people, test_gateway):
    mine = (await connect()).headers["location"]
    refused = await api.patch(mine, json={"events": ["task.*"]}, headers=headers)
    assert codes(refused) == [("KINDS_OR_EVENTS", "events")]
    owner = test_gateway.headers(people["owner"])
    made = await api.post(PATH, json=scoped("workspace", people["workspace"]), headers=owner)
    refused = await api.patch(made.headers["location"], json={"kinds": ["assigned"]}, headers=owner)
    assert codes(refused) == [("KINDS_OR_EVENTS", "kinds")]
    refused = await api.patch(made.headers["location"], json={"url": "https://127.0.0.1:22/"}, headers=owner)
    assert codes(refused) == [("URL_NOT_ALLOWED", "url")]


async def test_tokens_need_their_scope_and_restricted_ones_connect_nothing(api, me, test_gateway):
    reads = test_gateway.token_headers(me, "notifications:read")
    restricted = test_gateway.token_headers(me, "notifications:write", "notifications:read", workspace_id=uuid7())
    assert (await api.get(PATH, headers=reads)).status_code == 200
    assert codes(await api.post(PATH, json=own(), headers=reads)) == [("INSUFFICIENT_SCOPE", None)]
    assert codes(await api.post(PATH, json=own(), headers=restricted)) == [("TOKEN_RESTRICTED", None)]
    assert codes(await api.get(PATH, headers=restricted)) == [("TOKEN_RESTRICTED", None)]


async def test_who_records_posts_nothing_and_keeps_it(start, contract, headers):
    recording = ChannelSettings(drivers="recording")
    async with start(channels=recording) as found, contract_client(contract, base_url=_url(found)) as api:
        made = await api.post(PATH, json=own(url="http://127.0.0.1:1999/nobody"), headers=headers)
        tested = await api.post(f"{made.headers['location']}/test", headers=headers)
        assert tested.json()["data"] == {"delivered": True, "reason": None}
        (kept,) = (await api.get("/api/v1/recorded-messages?channel=chat", headers=headers)).json()["data"]
    assert kept["content"]["connection_id"] == made.json()["data"]["id"]
    assert kept["content"]["body"]["text"] == "Taskloom is connected to this chat."


def _url(service):
    return f"http://127.0.0.1:{service.port}"


async def test_k4_a_connection_needs_no_name(connect):
    body = own()
    del body["name"]
    assert (await connect(body)).json()["data"]["name"] == "Chat"


async def test_k4_connections_of_a_workspace_go_when_it_ends(api, people, feed, world, test_gateway, database):
    headers = test_gateway.headers(people["owner"])
    for body in (scoped("workspace", people["workspace"]), scoped("project", people["project"]), own()):
        assert (await api.post(PATH, json=body, headers=headers)).status_code == 201

    async def left():
        await run_to_end(database, jobs(30), "purge-chats")
        return [one["scope"]["type"] for one in (await api.get(PATH, headers=headers)).json()["data"]]

    await feed.keep(*(world.leaves(one) for one in [*world.members] if one != people["owner"]))
    assert await left() == ["workspace", "project", "user"]
    await feed.keep(world.leaves(people["owner"]))
    assert await left() == ["user"]

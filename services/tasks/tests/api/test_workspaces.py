"""Workspaces (N1): anybody makes one, its owners and admins change it, and a deleted one is seen nowhere."""

import asyncio

import pytest
from chassis.ids import uuid7

PATH = "/api/v1/workspaces"
LOG = "SELECT type, version, changes, audience FROM tasks.change WHERE workspace_id = :id ORDER BY seq"


def codes(answer):
    return [one["code"] for one in answer.json()["errors"]]


@pytest.fixture
async def choir(api, test_gateway, rows):
    """A workspace of an owner with a member of each other role: the workspace, and the headers by role."""
    users = {role: uuid7() for role in ("owner", "admin", "member", "guest")}
    headers = {role: test_gateway.headers(user) for role, user in users.items()}
    made = await api.post(PATH, json={"name": "Choir"}, headers=headers["owner"])
    assert made.status_code == 201
    workspace = made.json()["data"]
    for role in ("admin", "member", "guest"):
        await rows(
            "INSERT INTO tasks.member VALUES (uuidv7(), :workspace, :user, :role, 1, 1, now())",
            workspace=workspace["id"],
            user=users[role],
            role=role,
        )
    return {**workspace, "users": users, "headers": headers, "path": f"{PATH}/{workspace['id']}"}


async def test_n1_anybody_makes_a_workspace_and_owns_it(api, test_gateway, rows):
    person = uuid7()
    headers = test_gateway.headers(person)
    answer = await api.post(PATH, json={"name": "  Choir "}, headers=headers)
    made = answer.json()["data"]
    assert (answer.status_code, answer.headers["etag"]) == (201, '"1"')
    assert answer.headers["location"] == f"{PATH}/{made['id']}"
    assert answer.headers["x-cursor"]
    expected = {"name": "Choir", "personal": False, "role": "owner", "require_if_match": False, "version": 1}
    assert {name: made[name] for name in expected} == expected
    read = await api.get(answer.headers["location"], headers=headers)
    assert (read.json()["data"], read.headers["etag"]) == (made, '"1"')
    assert (await api.get(PATH, headers=headers)).json()["data"] == [made]
    entries = await rows(LOG, id=made["id"])
    assert [(kind, audience) for kind, _, _, audience in entries] == [
        ("workspace.created.v1", [person]),
        ("member.added.v1", [person]),
    ]


@pytest.mark.parametrize(
    ("bounds", "code"),
    [
        ({"workspace_id": uuid7()}, "TOKEN_RESTRICTED"),
        ({"project_ids": [uuid7()]}, "TOKEN_RESTRICTED"),
        ({"bot": True}, "FORBIDDEN"),
        ({"read_only": True}, "TOKEN_READ_ONLY"),
    ],
)
async def test_n1_no_machine_and_no_restricted_token_makes_a_workspace(api, test_gateway, rows, bounds, code):
    person = uuid7()
    headers = test_gateway.token_headers(person, "tasks:write", **bounds)
    answer = await api.post(PATH, json={"name": "a"}, headers=headers)
    assert (answer.status_code, codes(answer)) == (403, [code])
    assert await rows("SELECT count(*) FROM tasks.workspace WHERE created_by = :id", id=person) == [(0,)]


@pytest.mark.parametrize("name", ["", "  ", None, 1, "a" * 201, "a\0"])
async def test_n1_a_workspace_has_a_name(api, user, name):
    for body in ({"name": name}, {}, {"name": "a", "personal": True}):
        assert (await api.post(PATH, json=body, headers=user())).status_code == 422


async def test_n1_a_change_has_a_version_and_an_event_and_an_equal_one_has_none(api, choir, rows):
    path, headers = choir["path"], choir["headers"]["admin"]
    for patch in ({}, {"name": "Choir"}):
        answer = await api.patch(path, json=patch, headers=headers)
        assert (answer.status_code, answer.headers["etag"]) == (200, '"1"')
    answer = await api.patch(path, json={"name": "Band"}, headers={**headers, "if-match": '"1"'})
    assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
    assert (answer.json()["data"]["name"], answer.json()["data"]["role"]) == ("Band", "admin")
    stale = await api.patch(path, json={"name": "Duo"}, headers={**headers, "if-match": '"1"'})
    assert (stale.status_code, stale.json()["errors"][0]["field"]) == (412, "name")
    assert stale.json()["data"]["current"] == answer.json()["data"]
    entries = (await rows(LOG, id=choir["id"]))[2:]
    change = [{"field": "name", "old": "Choir", "new": "Band"}]
    assert entries == [("workspace.updated.v1", 2, change, sorted(choir["users"].values()))]
    assert (await api.patch(path, json={"name": None}, headers=headers)).status_code == 422


async def test_n1_who_requires_if_match_requires_it_of_the_workspace_too(api, choir):
    path, headers = choir["path"], choir["headers"]["owner"]
    assert (await api.patch(path, json={"require_if_match": True}, headers=headers)).status_code == 200
    member = f"{path}/members/{choir['users']['guest']}"
    asked = [("PATCH", path, {"name": "b"}), ("PATCH", member, {"role": "member"}), ("DELETE", member, None)]
    for method, place, body in (*asked, ("DELETE", path, None)):
        answer = await api.request(method, place, json=body, headers=headers)
        assert (answer.status_code, codes(answer)) == (428, ["IF_MATCH_REQUIRED"])
    anything = {**headers, "if-match": "*"}
    assert (await api.patch(member, json={"role": "member"}, headers=anything)).status_code == 200
    minimal = await api.delete(path, headers={**headers, "if-match": '"2"', "prefer": "return=minimal"})
    assert (minimal.status_code, minimal.content, bool(minimal.headers["x-cursor"])) == (204, b"", True)


async def test_n1_a_deleted_workspace_is_gone_for_everybody_at_once(api, choir, rows):
    path, headers, users = choir["path"], choir["headers"], choir["users"]
    project = uuid7()
    await rows(
        "INSERT INTO tasks.project (id, workspace_id, name, is_inbox, created_by, version, created_at, updated_at)"
        " VALUES (:project, :workspace, 'P', false, :project, 1, now(), now())",
        project=project,
        workspace=choir["id"],
    )
    body = {"title": "a", "project_id": str(project)}
    task = (await api.post("/api/v1/tasks", json=body, headers=headers["member"])).json()["data"]
    await rows(
        "INSERT INTO tasks.task_share VALUES (uuidv7(), :workspace, :task, :user, 'viewer', :user, 1, now())",
        workspace=choir["id"],
        task=task["id"],
        user=users["guest"],
    )
    answer = await api.delete(path, headers=headers["owner"])
    assert (answer.status_code, answer.json()["data"], bool(answer.headers["x-cursor"])) == (200, None, True)
    for one in headers.values():
        for hidden in (path, f"{path}/members", f"/api/v1/tasks/{task['id']}", f"/internal/tasks/{task['id']}"):
            assert (await api.get(hidden, headers=one)).status_code == 404
        for listed in ("workspaces", "projects", "tasks"):
            assert (await api.get(f"/api/v1/{listed}", headers=one)).json()["data"] == []
        assert (await api.get("/internal/memberships", headers=one)).json()["memberships"] == []
        assert (await api.post("/api/v1/tasks", json=body, headers=one)).status_code == 422
    entries = await rows(LOG, id=choir["id"])
    assert [(kind, version) for kind, version, *_ in entries[-5:]] == [
        ("workspace.deleted.v1", 2),
        *[("member.removed.v1", 2)] * 4,
    ]
    everybody = sorted(users.values())
    listing = [user for user in everybody if user != users["guest"]]
    told = [audience for *_, audience in entries[-5:]]
    assert told[0] == everybody
    assert sorted(told[1:]) == sorted([everybody, *[listing] * 3])
    assert (await api.delete(path, headers=headers["owner"])).status_code == 404


async def test_n1_of_ten_who_delete_a_workspace_at_once_one_does(api, choir, rows):
    answers = await asyncio.gather(*(api.delete(choir["path"], headers=choir["headers"]["owner"]) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [404] * 9
    assert [kind for kind, *_ in await rows(LOG, id=choir["id"])].count("workspace.deleted.v1") == 1


@pytest.mark.parametrize(
    ("method", "rest", "body"),
    [
        ("DELETE", "", None),
        ("DELETE", "/members/{0}", None),
        ("PATCH", "/members/{0}", {"role": "admin"}),
        ("POST", "/transfer-ownership", {"user_id": "{1}"}),
        ("PATCH", "/members/{1}", {"role": "owner"}),
    ],
)
async def test_n1_a_personal_workspace_stays_its_owners_alone(api, test_gateway, rows, method, rest, body):
    owner, other = uuid7(), uuid7()
    headers = test_gateway.headers(owner)
    task = (await api.post("/api/v1/tasks", json={"title": "a"}, headers=headers)).json()["data"]
    # Which there is no way to make, and which changes nothing.
    await rows(
        "INSERT INTO tasks.member VALUES (uuidv7(), :workspace, :user, 'member', 1, 1, now())",
        workspace=task["workspace_id"],
        user=other,
    )
    path = f"{PATH}/{task['workspace_id']}{rest.format(owner, other)}"
    body = body and {name: value.format(owner, other) for name, value in body.items()}
    answer = await api.request(method, path, json=body, headers=headers)
    assert (answer.status_code, codes(answer)) == (409, ["PERSONAL_WORKSPACE"])
    renamed = await api.patch(f"{PATH}/{task['workspace_id']}", json={"name": "Mine"}, headers=headers)
    assert (renamed.status_code, renamed.json()["data"]["personal"]) == (200, True)


async def test_r32_who_has_left_gets_no_replay_of_what_a_workspace_was(api, choir, rows):
    headers = choir["headers"]
    made = await api.post(PATH, json={"name": "b"}, headers={**headers["admin"], "idempotency-key": "made"})
    keyed = {**headers["admin"], "idempotency-key": "k"}
    first = await api.patch(choir["path"], json={"name": "b"}, headers=keyed)
    again = await api.patch(choir["path"], json={"name": "b"}, headers=keyed)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
    assert again.content == first.content
    assert "x-about-workspace" not in again.headers
    own = f"{choir['path']}/members/{choir['users']['admin']}"
    left = {**headers["admin"], "idempotency-key": "left"}
    assert [(await api.delete(own, headers=left)).status_code for _ in range(2)] == [200, 200]
    assert (await api.patch(choir["path"], json={"name": "b"}, headers=keyed)).status_code == 404
    assert (await api.delete(f"{PATH}/{made.json()['data']['id']}", headers=headers["admin"])).status_code == 200
    replayed = await api.post(PATH, json={"name": "b"}, headers={**headers["admin"], "idempotency-key": "made"})
    assert replayed.status_code == 404

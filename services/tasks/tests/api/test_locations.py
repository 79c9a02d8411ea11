"""Who makes something is told where it is read; the matrix follows that of each operation."""

import pytest
from chassis.ids import uuid7
from tasks_service.main import openapi_document

THUMB = "%F0%9F%91%8D"


def test_every_answer_that_something_was_made_documents_where_it_is():
    made = {
        operation["operationId"]: operation["responses"]["201"].get("headers", {})
        for item in openapi_document()["paths"].values()
        for operation in item.values()
        if "201" in operation["responses"]
    }
    assert len(made) >= 16
    assert [name for name, headers in made.items() if "Location" not in headers] == []


async def test_who_makes_a_workspace_reads_it_where_it_is(api, user):
    caller = user()
    made = await api.post("/api/v1/workspaces", json={"name": "W"}, headers=caller)
    read = await api.get(made.headers["location"], headers=caller)
    assert (made.status_code, read.status_code) == (201, 200)
    assert read.json()["data"] == made.json()["data"]


@pytest.fixture
async def makings(roster):
    """How each thing is made by the owner: method, path and body; then how it is changed where it is."""
    task, other = await roster.task(), await roster.task()
    at = f"/tasks/{task['id']}"
    comment = await roster.ok("owner", "POST", f"{at}/comments", {"body": "a"})
    status = {"name": "In review", "category": "in_progress"}
    invitation = {"email": f"{uuid7().hex}@example.com", "role": "member"}
    return {
        "status": ("POST", f"/projects/{roster.project_id}/statuses", status, {"name": "b"}),
        "checklist item": ("POST", f"{at}/checklist", {"text": "a"}, {"text": "b"}),
        "relation": ("POST", f"{at}/relations", {"type": "blocks", "task_id": other["id"]}, None),
        "invitation": ("POST", f"/workspaces/{roster.workspace_id}/invitations", invitation, None),
        "assignee": ("POST", f"{at}/assignees", {"user_id": roster.id("member")}, {"state": "done"}),
        "watcher": ("POST", f"{at}/watchers", {"user_id": roster.id("member")}, None),
        "reaction": ("PUT", f"{at}/comments/{comment['id']}/reactions/{THUMB}", None, None),
    }


KINDS = ("status", "checklist item", "relation", "invitation", "assignee", "watcher", "reaction")


@pytest.mark.parametrize("kind", KINDS)
async def test_what_was_made_is_read_where_it_is_and_the_repeated_answer_says_the_same(roster, makings, kind):
    method, path, body, _ = makings[kind]
    key = {"idempotency-key": str(uuid7())}
    first, again = [await roster.ask("owner", method, path, body, **key) for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["location"] == first.headers["location"]
    read = await roster.ask("owner", "GET", first.headers["location"].removeprefix("/api/v1"))
    made = first.json()["data"]
    assert (read.status_code, {name: read.json()["data"][name] for name in made}) == (200, made)


@pytest.mark.parametrize("kind", [one for one in KINDS if one != "reaction"])
async def test_r33_a_single_is_304_until_it_changes_and_not_when_it_is_gone(roster, makings, kind):
    method, path, body, change = makings[kind]
    made = await roster.ask("owner", method, path, body)
    at = made.headers["location"].removeprefix("/api/v1")
    first = await roster.ask("owner", "GET", at)
    tag = first.headers["etag"]
    assert tag == ('"1"' if "version" in first.json()["data"] else f'W/"{tag[3:-1]}"')
    again = await roster.ask("owner", "GET", at, **{"if-none-match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    for answer in (first, again):
        assert answer.headers["cache-control"] == "private, no-cache"
        assert answer.headers["vary"] == "Authorization"
    if change:
        await roster.ok("owner", "PATCH", at, change)
        after = await roster.ask("owner", "GET", at, **{"if-none-match": tag})
        assert (after.status_code, after.headers["etag"] != tag) == (200, True)
        assert change.items() <= after.json()["data"].items()
    await roster.ok("owner", "DELETE", at)
    after = await roster.ask("owner", "GET", at, **{"if-none-match": tag})
    if kind == "invitation":
        assert (after.status_code, after.json()["data"]["state"], after.headers["etag"]) == (200, "revoked", '"2"')
    else:
        assert after.status_code == 404


@pytest.mark.parametrize("kind", [one for one in KINDS if one != "reaction"])
async def test_a_single_is_read_below_what_it_is_of_alone(roster, makings, kind):
    method, path, body, _ = makings[kind]
    made = await roster.ask("owner", method, path, body)
    another = await roster.task()
    project = await roster.ok("owner", "POST", "/projects", {"name": "Q", "workspace_id": str(roster.workspace_id)})
    workspace = await roster.ok("owner", "POST", "/workspaces", {"name": "W"})
    other = {"tasks": another, "projects": project, "workspaces": workspace}
    root, noun, _, rest = made.headers["location"].removeprefix("/api/v1").split("/", 3)
    answer = await roster.ask("owner", "GET", f"{root}/{noun}/{other[noun]['id']}/{rest}")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "NOT_FOUND")


async def test_a_relation_is_read_from_either_end_and_by_who_sees_both(roster):
    here = await roster.task()
    hidden = await roster.ok(
        "owner",
        "POST",
        "/projects",
        {"name": "Q", "workspace_id": str(roster.workspace_id), "visibility": "private"},
    )
    there = await roster.task(project_id=hidden["id"])
    made = await roster.ok(
        "owner", "POST", f"/tasks/{here['id']}/relations", {"type": "blocks", "task_id": there["id"]}
    )
    seen = await roster.ok("owner", "GET", f"/tasks/{there['id']}/relations/{made['id']}")
    assert (seen["type"], seen["task"]["id"]) == ("blocked_by", here["id"])
    assert (await roster.ask("member", "GET", f"/tasks/{here['id']}/relations/{made['id']}")).status_code == 404


async def test_an_assignee_of_a_task_that_was_named_by_its_key_is_where_its_id_says(roster):
    task = await roster.task()
    body = {"user_id": roster.id("member")}
    answer = await roster.ask("owner", "POST", f"/tasks/{task['key']}/assignees", body)
    assert answer.headers["location"] == f"/api/v1/tasks/{task['id']}/assignees/{roster.id('member')}"


async def test_who_watches_no_more_or_sees_the_task_no_more_is_no_watcher(roster):
    task = await roster.task()
    path = f"/tasks/{task['id']}/watchers"
    for who in ("member", "editor"):
        await roster.ok("owner", "POST", path, {"user_id": roster.id(who)})
    await roster.ok("member", "PUT", f"{path}/mute")
    shown = [(await roster.ok(who, "GET", f"{path}/{roster.id('member')}"))["is_muted"] for who in ("member", "owner")]
    assert shown == [True, None]
    await roster.ok("member", "DELETE", f"{path}/{roster.id('member')}")
    await roster.rows(
        "DELETE FROM tasks.project_member WHERE project_id = :p AND user_id = :u",
        p=roster.project_id,
        u=roster.ids["editor"],
    )
    for who in ("member", "editor"):
        assert (await roster.ask("owner", "GET", f"{path}/{roster.id(who)}")).status_code == 404

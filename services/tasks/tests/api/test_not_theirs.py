"""Nobody sees or changes what is not theirs: where that is about more than one slice (issue 4)."""

from uuid import UUID

import pytest
from chassis.clock import utcnow
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from tasks_service.trash.service import purge_expired


async def audience_of(roster, kind):
    """Return by name who was told of the last change of a type."""
    return next(audience for found, _, audience in reversed(await roster.log()) if found == kind)


async def private_project(roster, who="owner", **roles):
    body = {"name": "Secret", "workspace_id": str(roster.workspace_id), "visibility": "private"}
    made = await roster.ok(who, "POST", "/projects", body)
    for name, role in roles.items():
        await roster.ok(who, "PUT", f"/projects/{made['id']}/members/{roster.id(name)}", {"role": role})
    return made


async def test_n4_guests_are_not_told_who_is_in_the_workspace(roster):
    everybody = {"owner", "admin", "member", "colleague"}
    path = f"/workspaces/{roster.workspace_id}/members"
    await roster.ok("owner", "PATCH", f"{path}/{roster.id('colleague')}", {"role": "admin"})
    assert await audience_of(roster, "member.updated.v1") == everybody
    await roster.ok("owner", "PATCH", f"{path}/{roster.id('guest')}", {"role": "member"})
    assert await audience_of(roster, "member.updated.v1") == {*everybody, "guest"}
    await roster.ok("owner", "PATCH", f"{path}/{roster.id('guest')}", {"role": "guest"})
    assert await audience_of(roster, "member.updated.v1") == {*everybody, "guest"}
    await roster.ok("owner", "DELETE", f"{path}/{roster.id('viewer')}")
    assert await audience_of(roster, "member.removed.v1") == {*everybody, "viewer"}


async def test_f6_who_becomes_a_guest_is_asked_for_no_item_of_what_they_see_no_more(roster):
    task = await roster.task()
    item = {"text": "x", "assignee_id": roster.id("member")}
    await roster.ok("owner", "POST", f"/tasks/{task['id']}/checklist", item)
    path = f"/workspaces/{roster.workspace_id}/members/{roster.id('member')}"
    await roster.ok("owner", "PATCH", path, {"role": "guest"})
    [found] = await roster.ok("owner", "GET", f"/tasks/{task['id']}/checklist")
    assert found["assignee_id"] is None


async def test_f5_muting_is_told_to_nobody_by_the_history_nor_by_the_audit(roster):
    task = await roster.task()
    await roster.ok("member", "PUT", f"/tasks/{task['id']}/watchers/mute")
    for who, told in (("owner", []), ("member", ["watcher.updated"])):
        seen = await roster.ok(who, "GET", f"/tasks/{task['id']}/history")
        assert [one["type"] for one in seen if one["type"] == "watcher.updated"] == told
    audit = await roster.ok("owner", "GET", f"/workspaces/{roster.workspace_id}/audit")
    assert [one for one in audit if one["type"] == "watcher.updated"] == []


async def test_h4_the_audit_keeps_quiet_about_deleted_comments_when_their_task_is_gone(roster):
    task = await roster.task()
    path = f"/tasks/{task['id']}/comments"
    made = await roster.ok("member", "POST", path, {"body": "a secret"})
    await roster.ok("member", "DELETE", f"{path}/{made['id']}")
    await roster.ok("owner", "DELETE", f"/tasks/{task['id']}?permanent=true")
    answer = await roster.ask("owner", "GET", f"/workspaces/{roster.workspace_id}/audit")
    assert "comment.created" in answer.text
    assert "a secret" not in answer.text


async def test_h4_the_audit_tells_of_what_was_purged_in_time(roster, database):
    task = await roster.task()
    await roster.ok("owner", "DELETE", f"/tasks/{task['id']}")
    more = True
    while more:
        async with transaction(database) as session:
            more = await purge_expired(session, deleted_before=utcnow())
    audit = await roster.ok("owner", "GET", f"/workspaces/{roster.workspace_id}/audit")
    assert (audit[0]["type"], audit[0]["actor"]["type"]) == ("task.purged", "system")


async def test_a8_tokens_for_some_projects_do_not_list_members(roster):
    own = {"workspace_id": roster.workspace_id, "project_ids": [roster.project_id]}
    headers = roster.gateway.token_headers(roster.ids["owner"], "tasks:read", **own)
    for path in ("members", f"members/{roster.id('member')}"):
        answer = await roster.api.get(f"/api/v1/workspaces/{roster.workspace_id}/{path}", headers=headers)
        assert answer.status_code == 403, path


async def test_b8_who_may_not_change_a_task_does_not_block_it(roster):
    theirs = await roster.task()
    mine = await private_project(roster, viewer="manager")
    own = await roster.ok("viewer", "POST", "/tasks", {"title": "own", "project_id": mine["id"]})
    for kind, expected in (("blocks", 403), ("blocked_by", 201), ("relates_to", 201)):
        body = {"type": kind, "task_id": theirs["id"]}
        answer = await roster.ask("viewer", "POST", f"/tasks/{own['id']}/relations", body)
        assert answer.status_code == expected, kind
    body = {"type": "blocked_by", "task_id": own["id"]}
    assert (await roster.ask("viewer", "POST", f"/tasks/{theirs['id']}/relations", body)).status_code == 403


async def test_b15_a_copy_blocks_nothing_that_is_not_the_copier_s(roster):
    theirs, source = await roster.task(), await roster.task(title="source")
    for kind in ("blocks", "relates_to"):
        body = {"type": kind, "task_id": theirs["id"]}
        await roster.ok("owner", "POST", f"/tasks/{source['id']}/relations", body)
    mine = await private_project(roster, viewer="manager")
    body = {"project_id": mine["id"], "include": ["relations"]}
    copy = await roster.ok("viewer", "POST", f"/tasks/{source['id']}/duplicate", body)
    found = await roster.ok("viewer", "GET", f"/tasks/{copy['id']}/relations")
    assert [one["type"] for one in found] == ["relates_to"]


async def test_b14_who_has_a_task_by_a_share_takes_it_away_from_nobody(roster):
    task = await roster.task()
    mine = await private_project(roster, guest="manager", viewer="manager")
    for who in ("guest", "viewer"):
        await roster.ok("owner", "PUT", f"/tasks/{task['id']}/shares/{roster.id(who)}", {"role": "editor"})
        answer = await roster.ask(who, "POST", f"/tasks/{task['id']}/move", {"project_id": mine["id"]})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, "FORBIDDEN"), who


async def test_c5_who_loses_a_project_is_not_told_what_it_becomes_with_that(roster):
    body = {"visibility": "private", "name": "Layoffs"}
    await roster.ok("owner", "PATCH", f"/projects/{roster.project_id}", body)
    insiders = {"owner", "admin", "editor", "commenter", "viewer"}
    assert await audience_of(roster, "project.updated.v1") == insiders


async def test_b11_true_is_not_one(roster):
    task = await roster.task()
    path = f"/tasks/{task['id']}/metadata/crm"
    for value in (1, True, 1.5):
        await roster.ok("owner", "PUT", path, {"a": value})
        found = await roster.ok("owner", "GET", path)
        assert found["value"] == {"a": value}
        assert type(found["value"]["a"]) is type(value)


@pytest.mark.parametrize("lose", ["project", "share"])
async def test_t5_an_answer_is_not_told_again_to_who_has_lost_what_it_is_about(roster, lose):
    made = await private_project(roster, **({"guest": "editor"} if lose == "project" else {}))
    task = await roster.ok("owner", "POST", "/tasks", {"title": "a", "project_id": made["id"]})
    grant = f"/projects/{made['id']}/members/{roster.id('guest')}"
    if lose == "share":
        grant = f"/tasks/{task['id']}/shares/{roster.id('guest')}"
        await roster.ok("owner", "PUT", grant, {"role": "editor"})
    key = {"idempotency-key": str(uuid7())}
    requests = [
        ("PATCH", f"/tasks/{task['id']}", {"description": "secret"}, {"idempotency-key": str(uuid7())}),
        ("POST", f"/tasks/{task['id']}/comments", {"body": "secret"}, key),
    ]
    for method, path, body, headers in requests:
        await roster.ok("guest", method, path, body, **headers)
    await roster.ok("owner", "DELETE", grant)
    for method, path, body, headers in requests:
        answer = await roster.ask("guest", method, path, body, **headers)
        assert answer.status_code == 404, (method, path)
        assert UUID(answer.json()["meta"]["request_id"])

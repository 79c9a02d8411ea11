"""Who hears of a task (F5)."""

import asyncio

import pytest
from chassis.ids import uuid7
from testkit.statements import statements_seen

READERS = {"owner", "admin", "member", "colleague", "editor", "commenter", "viewer"}
RULES = "/users/me/watch-rules"
ALL = {"created": True, "assigned": True, "mentioned": True, "commented": True}


async def watching(team, task, who="owner"):
    names = {str(user_id): name for name, user_id in team.ids.items()}
    shown = await team.ok(who, "GET", f"/tasks/{task['id']}/watchers")
    return {names[one["user_id"]]: one["reason"] for one in shown}


async def read(team, task):
    answer = await team.ask("owner", "GET", f"/tasks/{task['id']}")
    return answer.headers["etag"], answer.json()["data"]


def codes(answer):
    return answer.status_code, [(one["field"], one["code"]) for one in answer.json()["errors"]]


async def test_f5_who_makes_a_task_and_who_is_assigned_watches_it(team):
    task = await team.task(assigned_to=team.id("member"))
    assert await watching(team, task) == {"owner": "created", "member": "assigned"}
    assert [(kind, fields.get("is_watching"), audience) for kind, fields, audience in await team.log()] == [
        ("task.created.v1", None, READERS),
        ("watcher.added.v1", (False, True), READERS),
        ("watcher.added.v1", (False, True), READERS),
    ]
    await team.ok("owner", "POST", f"/tasks/{task['id']}/assignees", {"user_id": team.id("viewer")})
    assert await watching(team, task) == {"owner": "created", "member": "assigned", "viewer": "assigned"}


async def test_f5_a_rule_that_is_off_makes_nobody_watch(team):
    assert await team.ok("owner", "GET", RULES) == ALL
    off = {**ALL, "created": False, "assigned": False}
    for who in ("owner", "member"):
        assert await team.ok(who, "PUT", RULES, off) == off
        assert await team.ok(who, "GET", RULES) == off
    task = await team.task(assigned_to=team.id("member"))
    assert await watching(team, task) == {}
    assert [entry[0] for entry in await team.log()] == ["task.created.v1"]
    assert await team.ok("owner", "PUT", RULES, {}) == ALL
    assert await watching(team, await team.task(assigned_to=team.id("member"))) == {"owner": "created"}
    for wrong in ({"created": "yes"}, {"made": True}):
        assert (await team.ask("owner", "PUT", RULES, wrong)).status_code == 422


async def test_f5_a_restricted_token_changes_no_rules(team, api, test_gateway):
    token = test_gateway.token_headers(team.ids["owner"], "tasks:write", workspace_id=team.workspace_id)
    answer = await api.put(f"/api/v1{RULES}", json=ALL, headers=token)
    assert codes(answer) == (403, [(None, "TOKEN_RESTRICTED")])


async def test_f5_watching_and_stopping_by_hand(team):
    task = await team.task()
    before, count = await read(team, task), len(await team.log())
    path = f"/tasks/{task['id']}/watchers"
    first = await team.ask("viewer", "POST", path, {"user_id": team.id("viewer")})
    assert (first.status_code, first.headers["location"]) == (201, f"/api/v1{path}/{team.id('viewer')}")
    again = await team.ask("viewer", "POST", path, {"user_id": team.id("viewer")})
    assert (again.status_code, again.json()["data"]) == (200, first.json()["data"])
    assert await watching(team, task) == {"owner": "created", "viewer": "manual"}
    await team.ok("viewer", "DELETE", f"{path}/{team.id('viewer')}")
    assert (
        await team.ask("viewer", "DELETE", f"{path}/{team.id('viewer')}", prefer="return=minimal")
    ).status_code == 204
    await team.ok("owner", "DELETE", f"{path}/{uuid7()}")
    assert await watching(team, task) == {"owner": "created"}
    assert [(kind, fields, audience) for kind, fields, audience in await team.log_after(count)] == [
        ("watcher.added.v1", {"is_watching": (False, True)}, READERS),
        ("watcher.removed.v1", {"is_watching": (True, False)}, READERS),
    ]
    # None of it is a change of the task.
    assert await read(team, task) == before


async def test_f5_no_rule_makes_watch_again_who_has_stopped(team):
    task = await team.task()
    path = f"/tasks/{task['id']}/watchers"
    await team.ok("viewer", "POST", path, {"user_id": team.id("viewer")})
    await team.ok("viewer", "DELETE", f"{path}/{team.id('viewer')}")
    await team.ok("owner", "PATCH", f"/tasks/{task['id']}", {"assigned_to": team.id("viewer")})
    assert await watching(team, task) == {"owner": "created"}
    await team.ok("viewer", "POST", path, {"user_id": team.id("viewer")})
    assert await watching(team, task) == {"owner": "created", "viewer": "manual"}


async def test_f5_others_are_made_to_watch_by_who_may_edit(team):
    task = await team.task()
    path = f"/tasks/{task['id']}/watchers"
    assert (await team.ask("editor", "POST", path, {"user_id": team.id("viewer")})).status_code == 201
    for method, at, body in (
        ("POST", path, {"user_id": team.id("member")}),
        ("DELETE", f"{path}/{team.id('viewer')}", None),
    ):
        assert codes(await team.ask("commenter", method, at, body)) == (403, [(None, "FORBIDDEN")])
    for hidden in (team.id("guest"), team.id("stranger"), str(uuid7())):
        answer = await team.ask("editor", "POST", path, {"user_id": hidden})
        assert codes(answer) == (422, [("user_id", "USER_NOT_FOUND")])
    await team.rows("UPDATE tasks.project SET archived_at = now() WHERE id = :id", id=team.project_id)
    for method, at, body in (
        ("POST", path, {"user_id": team.id("member")}),
        ("DELETE", f"{path}/{team.id('viewer')}", None),
    ):
        assert codes(await team.ask("editor", method, at, body)) == (409, [(None, "PROJECT_ARCHIVED")])
    assert (await team.ask("member", "POST", path, {"user_id": team.id("member")})).status_code == 201


async def test_f5_muting_is_nobody_elses_affair(team):
    task = await team.task()
    before, count = await read(team, task), len(await team.log())
    path = f"/tasks/{task['id']}/watchers"
    for _ in range(2):
        muted = await team.ok("viewer", "PUT", f"{path}/mute")
        assert (muted["is_watching"], muted["is_muted"]) == (False, True)
    assert await watching(team, task) == {"owner": "created"}
    await team.ok("owner", "PUT", f"{path}/mute")
    ((own,), (seen,)) = [await team.ok(who, "GET", path) for who in ("owner", "viewer")]
    assert (own["is_muted"], seen["is_muted"]) == (True, None)
    # A rule does not make one watch what one has muted.
    await team.ok("owner", "PATCH", f"/tasks/{task['id']}", {"assigned_to": team.id("viewer")})
    assert await watching(team, task) == {"owner": "created"}
    for minimal, status in (("", 200), ("return=minimal", 204)):
        assert (await team.ask("viewer", "DELETE", f"{path}/mute", prefer=minimal)).status_code == status
    log = [entry for entry in await team.log_after(count) if entry[0] != "task.updated.v1"]
    assert log == [
        ("watcher.updated.v1", {"is_muted": (False, True)}, {"viewer"}),
        ("watcher.updated.v1", {"is_muted": (False, True)}, {"owner"}),
        ("watcher.updated.v1", {"is_muted": (True, False)}, {"viewer"}),
    ]
    assert before[0] == '"1"'
    assert (await read(team, task))[0] == '"2"'


async def test_f5_who_sees_the_task_no_more_is_no_watcher_that_is_shown(team):
    task = await team.task()
    await team.ok("viewer", "POST", f"/tasks/{task['id']}/watchers", {"user_id": team.id("viewer")})
    await team.rows("DELETE FROM tasks.project_member WHERE user_id = :u", u=team.ids["viewer"])
    assert await watching(team, task) == {"owner": "created"}


async def test_f5_beginning_at_the_same_moment_is_one_event(team):
    task = await team.task()
    count = len(await team.log())
    path = f"/tasks/{task['id']}/watchers"
    answers = await asyncio.gather(
        *(team.ask("viewer", "POST", path, {"user_id": team.id("viewer")}) for _ in range(8))
    )
    assert sorted(one.status_code for one in answers) == [200] * 7 + [201]
    assert [entry[0] for entry in await team.log_after(count)] == ["watcher.added.v1"]


@pytest.mark.parametrize("who", [("member",), ("member", "viewer", "editor")])
async def test_f5_a_list_of_watchers_costs_three_statements(team, database, who):
    task = await team.task(assignees=team.several(*who))
    with statements_seen(database.reader) as seen:
        assert len(await team.ok("viewer", "GET", f"/tasks/{task['id']}/watchers")) == len(who) + 1
    assert len(seen) == 3

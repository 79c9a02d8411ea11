"""Who hears of a task (F5)."""

import asyncio

import pytest
from chassis.ids import uuid7
from testkit.statements import statements_seen

READERS = {"owner", "admin", "member", "colleague", "editor", "commenter", "viewer"}
RULES = "/users/me/watch-rules"
ALL = {"created": True, "assigned": True, "mentioned": True, "commented": True}


async def watching(roster, task, who="owner"):
    names = {str(user_id): name for name, user_id in roster.ids.items()}
    shown = await roster.ok(who, "GET", f"/tasks/{task['id']}/watchers")
    return {names[one["user_id"]]: one["reason"] for one in shown}


async def read(roster, task):
    answer = await roster.ask("owner", "GET", f"/tasks/{task['id']}")
    return answer.headers["etag"], answer.json()["data"]


def codes(answer):
    return answer.status_code, [(one["field"], one["code"]) for one in answer.json()["errors"]]


async def test_f5_who_makes_a_task_and_who_is_assigned_watches_it(roster):
    task = await roster.task(assigned_to=roster.id("member"))
    assert await watching(roster, task) == {"owner": "created", "member": "assigned"}
    # Of the maker's watching the new task tells itself.
    log = [(kind, fields.get("watchers") or fields, audience) for kind, fields, audience in await roster.log()]
    assert log == [
        ("task.created.v1", (None, [roster.id("owner")]), READERS),
        ("watcher.added.v1", {"is_watching": (False, True)}, READERS),
    ]
    await roster.ok("owner", "POST", f"/tasks/{task['id']}/assignees", {"user_id": roster.id("viewer")})
    assert await watching(roster, task) == {"owner": "created", "member": "assigned", "viewer": "assigned"}


async def test_f5_whatever_way_a_task_is_made_it_tells_that_its_maker_watches_it(roster):
    task, place = await roster.task(), {"title": "a", "project_id": str(roster.project_id)}
    ways = [
        ("PUT", f"/tasks/by-external/{{elsewhere}}/{task['id']}", place),
        ("POST", f"/tasks/{task['id']}/duplicate", {}),
        ("POST", "/tasks/bulk", {"operations": [{"op": "create", "data": place}]}),
    ]
    for elsewhere, watchers in (("on", {"member": "created"}), ("off", {})):
        await roster.ok("member", "PUT", RULES, {**ALL, "created": bool(watchers)})
        for method, path, body in ways:
            count = len(await roster.log())
            made = await roster.ok("member", method, path.format(elsewhere=elsewhere), body)
            [(kind, fields, _)] = await roster.log_after(count)
            told = (None, [roster.id("member")]) if watchers else None
            assert (kind, fields.get("watchers")) == ("task.created.v1", told)
            assert await watching(roster, made[0] if isinstance(made, list) else made) == watchers


async def test_f5_a_rule_that_is_off_makes_nobody_watch(roster):
    assert await roster.ok("owner", "GET", RULES) == ALL
    off = {**ALL, "created": False, "assigned": False}
    for who in ("owner", "member"):
        assert await roster.ok(who, "PUT", RULES, off) == off
        assert await roster.ok(who, "GET", RULES) == off
    task = await roster.task(assigned_to=roster.id("member"))
    assert await watching(roster, task) == {}
    assert [(kind, fields.get("watchers")) for kind, fields, _ in await roster.log()] == [("task.created.v1", None)]
    assert await roster.ok("owner", "PUT", RULES, {}) == ALL
    assert await watching(roster, await roster.task(assigned_to=roster.id("member"))) == {"owner": "created"}
    for wrong in ({"created": "yes"}, {"made": True}):
        assert (await roster.ask("owner", "PUT", RULES, wrong)).status_code == 422


async def test_f5_a_restricted_token_changes_no_rules(roster, api, test_gateway):
    token = test_gateway.token_headers(roster.ids["owner"], "tasks:write", workspace_id=roster.workspace_id)
    answer = await api.put(f"/api/v1{RULES}", json=ALL, headers=token)
    assert codes(answer) == (403, [(None, "TOKEN_RESTRICTED")])


async def test_f5_watching_and_stopping_by_hand(roster):
    task = await roster.task()
    before, count = await read(roster, task), len(await roster.log())
    path = f"/tasks/{task['id']}/watchers"
    first = await roster.ask("viewer", "POST", path, {"user_id": roster.id("viewer")})
    assert (first.status_code, first.headers["location"]) == (201, f"/api/v1{path}/{roster.id('viewer')}")
    again = await roster.ask("viewer", "POST", path, {"user_id": roster.id("viewer")})
    assert (again.status_code, again.json()["data"]) == (200, first.json()["data"])
    assert await watching(roster, task) == {"owner": "created", "viewer": "manual"}
    await roster.ok("viewer", "DELETE", f"{path}/{roster.id('viewer')}")
    assert (
        await roster.ask("viewer", "DELETE", f"{path}/{roster.id('viewer')}", prefer="return=minimal")
    ).status_code == 204
    await roster.ok("owner", "DELETE", f"{path}/{uuid7()}")
    assert await watching(roster, task) == {"owner": "created"}
    assert [(kind, fields, audience) for kind, fields, audience in await roster.log_after(count)] == [
        ("watcher.added.v1", {"is_watching": (False, True)}, READERS),
        ("watcher.removed.v1", {"is_watching": (True, False)}, READERS),
    ]
    # None of it is a change of the task.
    assert await read(roster, task) == before


async def test_f5_no_rule_makes_watch_again_who_has_stopped(roster):
    task = await roster.task()
    path = f"/tasks/{task['id']}/watchers"
    await roster.ok("viewer", "POST", path, {"user_id": roster.id("viewer")})
    await roster.ok("viewer", "DELETE", f"{path}/{roster.id('viewer')}")
    await roster.ok("owner", "PATCH", f"/tasks/{task['id']}", {"assigned_to": roster.id("viewer")})
    assert await watching(roster, task) == {"owner": "created"}
    await roster.ok("viewer", "POST", path, {"user_id": roster.id("viewer")})
    assert await watching(roster, task) == {"owner": "created", "viewer": "manual"}


async def test_f5_others_are_made_to_watch_by_who_may_edit(roster):
    task = await roster.task()
    path = f"/tasks/{task['id']}/watchers"
    assert (await roster.ask("editor", "POST", path, {"user_id": roster.id("viewer")})).status_code == 201
    for method, at, body in (
        ("POST", path, {"user_id": roster.id("member")}),
        ("DELETE", f"{path}/{roster.id('viewer')}", None),
    ):
        assert codes(await roster.ask("commenter", method, at, body)) == (403, [(None, "FORBIDDEN")])
    for hidden in (roster.id("guest"), roster.id("stranger"), str(uuid7())):
        answer = await roster.ask("editor", "POST", path, {"user_id": hidden})
        assert codes(answer) == (422, [("user_id", "USER_NOT_FOUND")])
    await roster.rows("UPDATE tasks.project SET archived_at = now() WHERE id = :id", id=roster.project_id)
    for method, at, body in (
        ("POST", path, {"user_id": roster.id("member")}),
        ("DELETE", f"{path}/{roster.id('viewer')}", None),
    ):
        assert codes(await roster.ask("editor", method, at, body)) == (409, [(None, "PROJECT_ARCHIVED")])
    assert (await roster.ask("member", "POST", path, {"user_id": roster.id("member")})).status_code == 201


async def test_f5_muting_is_nobody_elses_affair(roster):
    task = await roster.task()
    before, count = await read(roster, task), len(await roster.log())
    path = f"/tasks/{task['id']}/watchers"
    for _ in range(2):
        muted = await roster.ok("viewer", "PUT", f"{path}/mute")
        assert (muted["is_watching"], muted["is_muted"]) == (False, True)
    assert await watching(roster, task) == {"owner": "created"}
    await roster.ok("owner", "PUT", f"{path}/mute")
    ((own,), (seen,)) = [await roster.ok(who, "GET", path) for who in ("owner", "viewer")]
    assert (own["is_muted"], seen["is_muted"]) == (True, None)
    # A rule does not make one watch what one has muted.
    await roster.ok("owner", "PATCH", f"/tasks/{task['id']}", {"assigned_to": roster.id("viewer")})
    assert await watching(roster, task) == {"owner": "created"}
    for minimal, status in (("", 200), ("return=minimal", 204)):
        assert (await roster.ask("viewer", "DELETE", f"{path}/mute", prefer=minimal)).status_code == status
    log = [entry for entry in await roster.log_after(count) if entry[0] != "task.updated.v1"]
    assert log == [
        ("watcher.updated.v1", {"is_muted": (False, True)}, {"viewer"}),
        ("watcher.updated.v1", {"is_muted": (False, True)}, {"owner"}),
        ("watcher.updated.v1", {"is_muted": (True, False)}, {"viewer"}),
    ]
    assert before[0] == '"1"'
    assert (await read(roster, task))[0] == '"2"'


async def test_f5_who_sees_the_task_no_more_is_no_watcher_that_is_shown(roster):
    task = await roster.task()
    await roster.ok("viewer", "POST", f"/tasks/{task['id']}/watchers", {"user_id": roster.id("viewer")})
    await roster.rows("DELETE FROM tasks.project_member WHERE user_id = :u", u=roster.ids["viewer"])
    assert await watching(roster, task) == {"owner": "created"}


async def test_f5_beginning_at_the_same_moment_is_one_event(roster):
    task = await roster.task()
    count = len(await roster.log())
    path = f"/tasks/{task['id']}/watchers"
    answers = await asyncio.gather(
        *(roster.ask("viewer", "POST", path, {"user_id": roster.id("viewer")}) for _ in range(8))
    )
    assert sorted(one.status_code for one in answers) == [200] * 7 + [201]
    assert [entry[0] for entry in await roster.log_after(count)] == ["watcher.added.v1"]


@pytest.mark.parametrize("who", [("member",), ("member", "viewer", "editor")])
async def test_f5_a_list_of_watchers_costs_three_statements(roster, database, who):
    task = await roster.task(assignees=roster.several(*who))
    with statements_seen(database.reader) as seen:
        assert len(await roster.ok("viewer", "GET", f"/tasks/{task['id']}/watchers")) == len(who) + 1
    assert len(seen) == 3

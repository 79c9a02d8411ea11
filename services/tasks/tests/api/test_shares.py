"""A task that is shown to somebody who need not see its project (N4)."""

import asyncio

import pytest
from chassis.ids import uuid7

READERS = {"owner", "admin", "member", "colleague", "editor", "commenter", "viewer"}


def codes(answer):
    return answer.status_code, [(one["field"], one["code"]) for one in answer.json()["errors"]]


async def share(team, task, who="guest", role="viewer"):
    return await team.ok("owner", "PUT", f"/tasks/{task['id']}/shares/{team.id(who)}", {"role": role})


async def test_n4_a_guest_sees_the_task_that_is_shared_and_nothing_else(team):
    task, other = await team.task(), await team.task()
    child = await team.task(parent_id=task["id"])
    await share(team, task)
    seen = await team.ok("guest", "GET", f"/tasks/{task['id']}")
    assert (seen["id"], seen["progress"]) == (task["id"], {"done": 0, "total": 1})
    for path in ("/tasks", "/shared-with-me"):
        assert [one["id"] for one in await team.ok("guest", "GET", path)] == [task["id"]]
    for path in (f"/tasks/{other['id']}", f"/tasks/{child['id']}", f"/projects/{team.project_id}"):
        assert codes(await team.ask("guest", "GET", path)) == (404, [(None, "NOT_FOUND")])
    assert await team.ok("guest", "GET", "/projects") == []
    # Who sees it by the project has nothing that is shared with them.
    assert await team.ok("member", "GET", "/shared-with-me") == []


@pytest.mark.parametrize(
    ("role", "read", "edit", "delete"),
    [("viewer", 200, 403, 403), ("commenter", 200, 403, 403), ("editor", 200, 200, 200)],
)
async def test_n4_a_share_gives_its_role(team, role, read, edit, delete):
    task = await team.task()
    await share(team, task, role=role)
    path = f"/tasks/{task['id']}"
    assert (await team.ask("guest", "GET", path)).status_code == read
    assert (await team.ask("guest", "PATCH", path, {"title": "b"})).status_code == edit
    assert (await team.ask("guest", "PUT", f"{path}/shares/{team.id('guest')}", {"role": "editor"})).status_code == 403
    assert (await team.ask("guest", "DELETE", path)).status_code == delete


async def test_n4_sharing_is_told_and_is_no_change_of_the_task(team):
    task = await team.task()
    count = len(await team.log())
    path = f"/tasks/{task['id']}/shares"
    first = await team.ask("owner", "PUT", f"{path}/{team.id('guest')}", {"role": "viewer"})
    assert (first.status_code, first.headers["etag"]) == (200, '"1"')
    assert (first.json()["data"]["role"], first.json()["data"]["shared_by"]) == ("viewer", team.id("owner"))
    assert await share(team, task) == first.json()["data"]
    changed = await team.ask("admin", "PUT", f"{path}/{team.id('guest')}", {"role": "editor"})
    assert (changed.headers["etag"], changed.json()["data"]["role"]) == ('"2"', "editor")
    assert [(one["user_id"], one["role"]) for one in await team.ok("guest", "GET", path)] == [
        (team.id("guest"), "editor")
    ]
    assert await team.ok("owner", "DELETE", f"{path}/{team.id('guest')}") is None
    await team.ok("owner", "DELETE", f"{path}/{team.id('guest')}")
    minimal = await team.ask("owner", "DELETE", f"{path}/{uuid7()}", prefer="return=minimal")
    assert minimal.status_code == 204
    log = await team.log_after(count)
    assert [(kind, fields.get("role"), audience) for kind, fields, audience in log] == [
        ("task_share.added.v1", (None, "viewer"), READERS | {"guest"}),
        ("task_share.updated.v1", ("viewer", "editor"), READERS | {"guest"}),
        ("task_share.removed.v1", ("editor", None), READERS | {"guest"}),
    ]
    assert await team.ok("owner", "GET", f"/tasks/{task['id']}") == task
    assert (await team.ask("guest", "GET", f"/tasks/{task['id']}")).status_code == 404


async def test_n4_only_members_of_the_workspace_and_only_by_managers(team):
    task = await team.task()
    for nobody in (team.id("stranger"), str(uuid7())):
        answer = await team.ask("owner", "PUT", f"/tasks/{task['id']}/shares/{nobody}", {"role": "viewer"})
        assert codes(answer) == (422, [("user_id", "USER_NOT_FOUND")])
    for who in ("member", "editor"):
        answer = await team.ask(who, "PUT", f"/tasks/{task['id']}/shares/{team.id('guest')}", {"role": "viewer"})
        assert codes(answer) == (403, [(None, "FORBIDDEN")])
    path = f"/tasks/{task['id']}/shares/{team.id('guest')}"
    assert codes(await team.ask("owner", "PUT", path, {"role": "manager"})) == (422, [("role", "NOT_ALLOWED")])
    await team.rows("UPDATE tasks.project SET archived_at = now() WHERE id = :id", id=team.project_id)
    for method, body in (("PUT", {"role": "viewer"}), ("DELETE", None)):
        assert codes(await team.ask("owner", method, path, body)) == (409, [(None, "PROJECT_ARCHIVED")])


async def test_f6_the_end_of_a_share_takes_what_was_had_by_it(team, rows):
    task = await team.task(assigned_to=team.id("member"))
    for who in ("guest", "viewer"):
        await share(team, task, who, "editor")
        await team.ok("owner", "POST", f"/tasks/{task['id']}/assignees", {"user_id": team.id(who)})
        await team.ok(who, "PUT", f"/tasks/{task['id']}/star")
    count = len(await team.log())
    for who in ("guest", "viewer"):
        await team.ok("owner", "DELETE", f"/tasks/{task['id']}/shares/{team.id(who)}")
    # Who sees it by the project as well keeps all of it.
    now = await team.ok("owner", "GET", f"/tasks/{task['id']}")
    assert (now["assignees"], now["version"]) == (team.several("member", "viewer"), 4)
    assert [entry[0] for entry in await team.log_after(count)] == [
        "task_share.removed.v1",
        "task.updated.v1",
        "watcher.removed.v1",
        "task_share.removed.v1",
    ]
    for table in ("assignee", "watcher", "star"):
        left = await rows(
            f"SELECT user_id FROM tasks.{table} WHERE task_id = :t AND user_id IN (:g, :v)",  # noqa: S608
            t=task["id"],
            g=team.ids["guest"],
            v=team.ids["viewer"],
        )
        assert left == [(team.ids["viewer"],)], table


async def test_f6_nobody_is_given_a_task_that_is_shared_no_more(team, rows):
    """Thirty times the end of a share and an assignment at once: nobody has what they can't see."""
    tasks = [await team.task() for _ in range(30)]
    for task in tasks:
        await share(team, task)
    for first in range(0, len(tasks), 5):
        some = tasks[first : first + 5]
        await asyncio.gather(
            *(team.ask("owner", "PATCH", f"/tasks/{one['id']}", {"assigned_to": team.id("guest")}) for one in some),
            *(team.ok("owner", "DELETE", f"/tasks/{one['id']}/shares/{team.id('guest')}") for one in some),
        )
    left = "SELECT id FROM tasks.task WHERE workspace_id = :w AND cardinality(assignees) > 0"
    assert await rows(left, w=team.workspace_id) == []
    for table in ("assignee", "watcher"):
        query = f"SELECT task_id FROM tasks.{table} WHERE user_id = :u"  # noqa: S608
        assert await rows(query, u=team.ids["guest"]) == []


async def test_n4_shares_at_the_same_moment_are_one(team):
    task = await team.task()
    count = len(await team.log())
    answers = await asyncio.gather(*(share(team, task) for _ in range(8)))
    assert len({one["id"] for one in answers}) == 1
    assert [entry[0] for entry in await team.log_after(count)] == ["task_share.added.v1"]

"""A task that is shown to somebody who need not see its project (N4)."""

import asyncio

import pytest
from chassis.ids import uuid7

READERS = {"owner", "admin", "member", "colleague", "editor", "commenter", "viewer"}


def codes(answer):
    return answer.status_code, [(one["field"], one["code"]) for one in answer.json()["errors"]]


async def share(roster, task, who="guest", role="viewer"):
    return await roster.ok("owner", "PUT", f"/tasks/{task['id']}/shares/{roster.id(who)}", {"role": role})


async def test_n4_a_guest_sees_the_task_that_is_shared_and_nothing_else(roster):
    task, other = await roster.task(), await roster.task()
    child = await roster.task(parent_id=task["id"])
    await share(roster, task)
    seen = await roster.ok("guest", "GET", f"/tasks/{task['id']}")
    assert (seen["id"], seen["progress"]) == (task["id"], {"done": 0, "total": 1})
    for path in ("/tasks", "/shared-with-me"):
        assert [one["id"] for one in await roster.ok("guest", "GET", path)] == [task["id"]]
    for path in (f"/tasks/{other['id']}", f"/tasks/{child['id']}", f"/projects/{roster.project_id}"):
        assert codes(await roster.ask("guest", "GET", path)) == (404, [(None, "NOT_FOUND")])
    assert await roster.ok("guest", "GET", "/projects") == []
    # Who sees it by the project has nothing that is shared with them.
    assert await roster.ok("member", "GET", "/shared-with-me") == []


@pytest.mark.parametrize(
    ("role", "read", "edit", "delete"),
    [("viewer", 200, 403, 403), ("commenter", 200, 403, 403), ("editor", 200, 200, 200)],
)
async def test_n4_a_share_gives_its_role(roster, role, read, edit, delete):
    task = await roster.task()
    await share(roster, task, role=role)
    path = f"/tasks/{task['id']}"
    assert (await roster.ask("guest", "GET", path)).status_code == read
    assert (await roster.ask("guest", "PATCH", path, {"title": "b"})).status_code == edit
    assert (
        await roster.ask("guest", "PUT", f"{path}/shares/{roster.id('guest')}", {"role": "editor"})
    ).status_code == 403
    assert (await roster.ask("guest", "DELETE", path)).status_code == delete


async def test_n4_sharing_is_told_and_is_no_change_of_the_task(roster):
    task = await roster.task()
    count = len(await roster.log())
    path = f"/tasks/{task['id']}/shares"
    first = await roster.ask("owner", "PUT", f"{path}/{roster.id('guest')}", {"role": "viewer"})
    assert (first.status_code, first.headers["etag"]) == (200, '"1"')
    assert (first.json()["data"]["role"], first.json()["data"]["shared_by"]) == ("viewer", roster.id("owner"))
    assert await share(roster, task) == first.json()["data"]
    changed = await roster.ask("admin", "PUT", f"{path}/{roster.id('guest')}", {"role": "editor"})
    assert (changed.headers["etag"], changed.json()["data"]["role"]) == ('"2"', "editor")
    assert [(one["user_id"], one["role"]) for one in await roster.ok("guest", "GET", path)] == [
        (roster.id("guest"), "editor")
    ]
    assert await roster.ok("owner", "DELETE", f"{path}/{roster.id('guest')}") is None
    await roster.ok("owner", "DELETE", f"{path}/{roster.id('guest')}")
    minimal = await roster.ask("owner", "DELETE", f"{path}/{uuid7()}", prefer="return=minimal")
    assert minimal.status_code == 204
    log = await roster.log_after(count)
    assert [(kind, fields.get("role"), audience) for kind, fields, audience in log] == [
        ("task_share.added.v1", (None, "viewer"), READERS | {"guest"}),
        ("task_share.updated.v1", ("viewer", "editor"), READERS | {"guest"}),
        ("task_share.removed.v1", ("editor", None), READERS),
    ]
    assert await roster.ok("owner", "GET", f"/tasks/{task['id']}") == task
    assert (await roster.ask("guest", "GET", f"/tasks/{task['id']}")).status_code == 404


async def test_n4_only_members_of_the_workspace_and_only_by_managers(roster):
    task = await roster.task()
    for nobody in (roster.id("stranger"), str(uuid7())):
        answer = await roster.ask("owner", "PUT", f"/tasks/{task['id']}/shares/{nobody}", {"role": "viewer"})
        assert codes(answer) == (422, [("user_id", "USER_NOT_FOUND")])
    for who in ("member", "editor"):
        answer = await roster.ask(who, "PUT", f"/tasks/{task['id']}/shares/{roster.id('guest')}", {"role": "viewer"})
        assert codes(answer) == (403, [(None, "FORBIDDEN")])
    path = f"/tasks/{task['id']}/shares/{roster.id('guest')}"
    assert codes(await roster.ask("owner", "PUT", path, {"role": "manager"})) == (422, [("role", "NOT_ALLOWED")])
    await roster.rows("UPDATE tasks.project SET archived_at = now() WHERE id = :id", id=roster.project_id)
    for method, body in (("PUT", {"role": "viewer"}), ("DELETE", None)):
        assert codes(await roster.ask("owner", method, path, body)) == (409, [(None, "PROJECT_ARCHIVED")])


async def test_f6_the_end_of_a_share_takes_what_was_had_by_it(roster, rows):
    task = await roster.task(assigned_to=roster.id("member"))
    for who in ("guest", "viewer"):
        await share(roster, task, who, "editor")
        await roster.ok("owner", "POST", f"/tasks/{task['id']}/assignees", {"user_id": roster.id(who)})
        await roster.ok(who, "PUT", f"/tasks/{task['id']}/star")
    count = len(await roster.log())
    for who in ("guest", "viewer"):
        await roster.ok("owner", "DELETE", f"/tasks/{task['id']}/shares/{roster.id(who)}")
    # Who sees it by the project as well keeps all of it.
    now = await roster.ok("owner", "GET", f"/tasks/{task['id']}")
    assert (now["assignees"], now["version"]) == (roster.several("member", "viewer"), 4)
    assert [entry[0] for entry in await roster.log_after(count)] == [
        "task_share.removed.v1",
        "task.updated.v1",
        "watcher.removed.v1",
        "task_share.removed.v1",
    ]
    for table in ("assignee", "watcher", "star"):
        left = await rows(
            f"SELECT user_id FROM tasks.{table} WHERE task_id = :t AND user_id IN (:g, :v)",  # noqa: S608 - the table is our own
            t=task["id"],
            g=roster.ids["guest"],
            v=roster.ids["viewer"],
        )
        assert left == [(roster.ids["viewer"],)], table


async def test_f6_nobody_is_given_a_task_that_is_shared_no_more(roster, rows):
    """Thirty times the end of a share and an assignment at once: nobody has what they can't see."""
    tasks = [await roster.task() for _ in range(30)]
    for task in tasks:
        await share(roster, task)
    # Few at once, since they all wait for one membership.
    for first in range(0, len(tasks), 2):
        some = tasks[first : first + 2]
        await asyncio.gather(
            *(roster.ask("owner", "PATCH", f"/tasks/{one['id']}", {"assigned_to": roster.id("guest")}) for one in some),
            *(roster.ok("owner", "DELETE", f"/tasks/{one['id']}/shares/{roster.id('guest')}") for one in some),
        )
    left = "SELECT id FROM tasks.task WHERE workspace_id = :w AND cardinality(assignees) > 0"
    assert await rows(left, w=roster.workspace_id) == []
    for table in ("assignee", "watcher"):
        query = f"SELECT task_id FROM tasks.{table} WHERE user_id = :u"  # noqa: S608 - the table is our own
        assert await rows(query, u=roster.ids["guest"]) == []


async def test_n4_shares_at_the_same_moment_are_one(roster):
    task = await roster.task()
    count = len(await roster.log())
    answers = await asyncio.gather(*(share(roster, task) for _ in range(8)))
    assert len({one["id"] for one in answers}) == 1
    assert [entry[0] for entry in await roster.log_after(count)] == ["task_share.added.v1"]

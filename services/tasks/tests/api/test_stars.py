"""Stars (C5): whose they are, nobody else is told, and the task stays as it is."""

import asyncio

from testkit.statements import statements_seen


async def starred(roster, who):
    return [one["id"] for one in await roster.ok(who, "GET", "/starred")]


async def test_c5_a_star_is_for_its_owner_alone(roster):
    task, other = await roster.task(), await roster.task()
    tags = [(await roster.ask("owner", "GET", path)).headers["etag"] for path in (f"/tasks/{task['id']}", "/tasks")]
    count = len(await roster.log())
    star = await roster.ok("viewer", "PUT", f"/tasks/{task['id']}/star")
    assert (star["task_id"], star["user_id"]) == (task["id"], roster.id("viewer"))
    assert await roster.ok("viewer", "PUT", f"/tasks/{task['id']}/star") == star
    await roster.ok("viewer", "PUT", f"/tasks/{other['id']}/star")
    assert await starred(roster, "viewer") == [other["id"], task["id"]]
    assert await starred(roster, "owner") == []
    assert (await roster.ok("viewer", "GET", "/starred?per_page=1"))[0] == other
    assert await roster.ok("viewer", "DELETE", f"/tasks/{task['id']}/star") is None
    assert (
        await roster.ask("viewer", "DELETE", f"/tasks/{task['id']}/star", prefer="return=minimal")
    ).status_code == 204
    assert await starred(roster, "viewer") == [other["id"]]
    assert await roster.log_after(count) == [
        ("star.added.v1", {"is_starred": (False, True)}, {"viewer"}),
        ("star.added.v1", {"is_starred": (False, True)}, {"viewer"}),
        ("star.removed.v1", {"is_starred": (True, False)}, {"viewer"}),
    ]
    for path, tag in zip((f"/tasks/{task['id']}", "/tasks"), tags, strict=True):
        assert (await roster.ask("owner", "GET", path, **{"if-none-match": tag})).status_code == 304


async def test_c5_an_archived_project_can_be_starred_and_what_is_not_seen_is_not_shown(roster):
    task = await roster.task()
    await roster.rows("UPDATE tasks.project SET archived_at = now() WHERE id = :id", id=roster.project_id)
    await roster.ok("viewer", "PUT", f"/tasks/{task['id']}/star")
    assert (await roster.ask("guest", "PUT", f"/tasks/{task['id']}/star")).status_code == 404
    await roster.rows("DELETE FROM tasks.project_member WHERE user_id = :u", u=roster.ids["viewer"])
    assert await starred(roster, "viewer") == []


async def test_c5_stars_at_the_same_moment_are_one(roster):
    task = await roster.task()
    count = len(await roster.log())
    answers = await asyncio.gather(*(roster.ok("viewer", "PUT", f"/tasks/{task['id']}/star") for _ in range(8)))
    assert len({one["created_at"] for one in answers}) == 1
    assert [entry[0] for entry in await roster.log_after(count)] == ["star.added.v1"]


async def test_c5_the_list_costs_two_statements(roster, database):
    for _ in range(3):
        await roster.ok("viewer", "PUT", f"/tasks/{(await roster.task())['id']}/star")
    with statements_seen(database.reader) as seen:
        assert len(await starred(roster, "viewer")) == 3
    assert len(seen) == 2


async def test_c5_tasks_are_read_with_ones_own_stars_for_one_statement_more(roster, database):
    task, other = await roster.task(), await roster.task()
    await roster.ok("viewer", "PUT", f"/tasks/{task['id']}/star")
    for who, is_starred in (("viewer", True), ("owner", False)):
        with statements_seen(database.reader) as seen:
            shown = await roster.ok(who, "GET", f"/tasks?project_id={roster.project_id}&include=starred")
        assert {one["id"]: one["is_starred"] for one in shown} == {task["id"]: is_starred, other["id"]: False}
        assert len(seen) == 2
    assert (await roster.ok("viewer", "GET", f"/tasks/{task['id']}?include=starred"))["is_starred"] is True
    assert "is_starred" not in await roster.ok("viewer", "GET", f"/tasks/{task['id']}")

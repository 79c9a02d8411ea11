"""Stars (C5): whose they are, nobody else is told, and the task stays as it is."""

import asyncio

from testkit.statements import statements_seen


async def starred(team, who):
    return [one["id"] for one in await team.ok(who, "GET", "/starred")]


async def test_c5_a_star_is_for_its_owner_alone(team):
    task, other = await team.task(), await team.task()
    tags = [(await team.ask("owner", "GET", path)).headers["etag"] for path in (f"/tasks/{task['id']}", "/tasks")]
    count = len(await team.log())
    star = await team.ok("viewer", "PUT", f"/tasks/{task['id']}/star")
    assert (star["task_id"], star["user_id"]) == (task["id"], team.id("viewer"))
    assert await team.ok("viewer", "PUT", f"/tasks/{task['id']}/star") == star
    await team.ok("viewer", "PUT", f"/tasks/{other['id']}/star")
    assert await starred(team, "viewer") == [other["id"], task["id"]]
    assert await starred(team, "owner") == []
    assert (await team.ok("viewer", "GET", "/starred?per_page=1"))[0] == other
    assert await team.ok("viewer", "DELETE", f"/tasks/{task['id']}/star") is None
    assert (await team.ask("viewer", "DELETE", f"/tasks/{task['id']}/star", prefer="return=minimal")).status_code == 204
    assert await starred(team, "viewer") == [other["id"]]
    assert await team.log_after(count) == [
        ("star.added.v1", {"is_starred": (False, True)}, {"viewer"}),
        ("star.added.v1", {"is_starred": (False, True)}, {"viewer"}),
        ("star.removed.v1", {"is_starred": (True, False)}, {"viewer"}),
    ]
    for path, tag in zip((f"/tasks/{task['id']}", "/tasks"), tags, strict=True):
        assert (await team.ask("owner", "GET", path, **{"if-none-match": tag})).status_code == 304


async def test_c5_an_archived_project_can_be_starred_and_what_is_not_seen_is_not_shown(team):
    task = await team.task()
    await team.rows("UPDATE tasks.project SET archived_at = now() WHERE id = :id", id=team.project_id)
    await team.ok("viewer", "PUT", f"/tasks/{task['id']}/star")
    assert (await team.ask("guest", "PUT", f"/tasks/{task['id']}/star")).status_code == 404
    await team.rows("DELETE FROM tasks.project_member WHERE user_id = :u", u=team.ids["viewer"])
    assert await starred(team, "viewer") == []


async def test_c5_stars_at_the_same_moment_are_one(team):
    task = await team.task()
    count = len(await team.log())
    answers = await asyncio.gather(*(team.ok("viewer", "PUT", f"/tasks/{task['id']}/star") for _ in range(8)))
    assert len({one["created_at"] for one in answers}) == 1
    assert [entry[0] for entry in await team.log_after(count)] == ["star.added.v1"]


async def test_c5_the_list_costs_two_statements(team, database):
    for _ in range(3):
        await team.ok("viewer", "PUT", f"/tasks/{(await team.task())['id']}/star")
    with statements_seen(database.reader) as seen:
        assert len(await starred(team, "viewer")) == 3
    assert len(seen) == 2

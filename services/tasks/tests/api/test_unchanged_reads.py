"""What `If-None-Match` gets (O5): 304 only where all that is shown is of the version."""

import pytest

RENAMED = """
INSERT INTO tasks.person (id, display_name, email_verified, kind, status, version)
VALUES (:id, :name, true, 'human', 'active', 1) ON CONFLICT (id) DO UPDATE SET display_name = :name
"""


async def reread(roster, path, tag, who="member"):
    answer = await roster.ask(who, "GET", path, **{"if-none-match": tag})
    assert answer.headers["etag"] == tag
    return answer.status_code, answer.json()["data"] if answer.content else None


async def test_o5_a_role_that_was_raised_is_read_with_the_tag_of_before(roster):
    project, workspace = f"/projects/{roster.project_id}", f"/workspaces/{roster.workspace_id}"
    for path, before in ((project, "editor"), (workspace, "member")):
        assert await roster.ok("member", "GET", path) == {**(await reread(roster, path, '"1"'))[1], "role": before}
    await roster.rows("UPDATE tasks.member SET role = 'admin' WHERE user_id = :id", id=roster.ids["member"])
    for path, now in ((project, "manager"), (workspace, "admin")):
        status, data = await reread(roster, path, '"1"')
        assert (status, data["role"]) == (200, now)


async def test_o5_a_member_with_another_name_is_read_with_the_tag_of_before(roster):
    path = f"/workspaces/{roster.workspace_id}/members/{roster.id('colleague')}"
    for name in ("Ada", "Grace"):
        await roster.rows(RENAMED, id=roster.ids["colleague"], name=name)
        status, data = await reread(roster, path, '"1"')
        assert (status, data["name"]) == (200, name)


async def test_o5_a_comment_by_somebody_with_another_name_is_read_with_the_tag_of_before(roster):
    task = await roster.task()
    comment = await roster.ok("colleague", "POST", f"/tasks/{task['id']}/comments", {"body": "a"})
    for name in ("Ada", "Grace"):
        await roster.rows(RENAMED, id=roster.ids["colleague"], name=name)
        status, data = await reread(roster, f"/tasks/{task['id']}/comments/{comment['id']}", '"1"')
        assert (status, data["author"]["name"]) == (200, name)


async def test_o5_a_task_is_read_with_the_key_that_its_project_gives_it_now(roster):
    task = await roster.task()
    path = f"/tasks/{task['id']}"
    assert await reread(roster, path, '"1"') == (304, None)
    await roster.ok("owner", "PATCH", f"/projects/{roster.project_id}", {"prefix": "NEW"})
    assert await reread(roster, path, '"1"') == (200, {**task, "key": "NEW-1"})


async def test_o5_what_is_called_so_now_is_read_with_the_tag_of_what_was_called_so_before(roster):
    names = {"external_source": "crm", "external_id": "7"}
    path = f"/tasks/by-external/crm/7?project_id={roster.project_id}"
    former = await roster.task(**names)
    assert (await reread(roster, path, '"1"')) == (200, former)
    await roster.ok("owner", "DELETE", f"/tasks/{former['id']}")
    later = await roster.task(**names)
    assert (await reread(roster, path, '"1"')) == (200, later)


async def test_o5_metadata_that_was_removed_and_kept_again_is_read_with_the_tag_of_before(roster):
    path = f"/tasks/{(await roster.task())['id']}/metadata/crm"
    for value in ({"a": 1}, {"a": 2}):
        await roster.ok("owner", "PUT", path, value)
        status, data = await reread(roster, path, '"1"', who="owner")
        assert (status, data["value"]) == (200, value)
        await roster.ok("owner", "DELETE", path)


@pytest.mark.parametrize("kind", ["labels", "categories"])
async def test_o5_what_is_of_the_version_alone_is_304_until_that_changes(roster, kind):
    made = await roster.ok("owner", "POST", f"/{kind}", {"name": "a", "workspace_id": str(roster.workspace_id)})
    path = f"/{kind}/{made['id']}"
    assert await reread(roster, path, '"1"') == (304, None)
    await roster.ok("owner", "PATCH", path, {"name": "b"})
    answer = await roster.ask("member", "GET", path, **{"if-none-match": '"1"'})
    assert (answer.status_code, answer.headers["etag"], answer.json()["data"]["name"]) == (200, '"2"', "b")

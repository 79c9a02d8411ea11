"""Who has deleted the account is shown in one way, wherever names are (N6)."""

TOMBSTONE = """
INSERT INTO tasks.person (id, display_name, email_verified, kind, status, version)
VALUES (:id, 'Colleen', false, 'human', 'deleted', 2)
"""


def names_in(answer, user_id):
    """Return what somebody is called in an answer, wherever it says their id beside a name."""
    if isinstance(answer, list):
        return {name for one in answer for name in names_in(one, user_id)}
    if not isinstance(answer, dict):
        return set()
    mine = {answer["name"]} if "name" in answer and user_id in (answer.get("user_id"), answer.get("id")) else set()
    return mine | names_in(list(answer.values()), user_id)


async def test_n6_a_deleted_user_is_called_so_wherever_there_is_a_name(roster):
    gone = roster.id("colleague")
    task = await roster.task(assigned_to=gone)
    of_task, of_workspace = f"/tasks/{task['id']}", f"/workspaces/{roster.workspace_id}"
    of_project = f"/projects/{roster.project_id}"
    await roster.ok("colleague", "POST", f"{of_task}/comments", {"body": "a"})
    await roster.ok("colleague", "PATCH", of_task, {"title": "b"})
    await roster.ok("owner", "PUT", f"{of_task}/shares/{gone}", {"role": "viewer"})
    await roster.ok("owner", "PUT", f"{of_project}/members/{gone}", {"role": "editor"})
    await roster.rows(TOMBSTONE, id=roster.ids["colleague"])
    surfaces = (
        f"{of_task}/assignees",
        f"{of_task}?include=assignees",
        f"{of_task}/comments",
        f"{of_task}/history",
        f"{of_task}/shares",
        f"{of_task}/watchers",
        f"{of_project}/members",
        f"{of_workspace}/audit",
        f"{of_workspace}/directory",
        f"{of_workspace}/members",
        f"{of_workspace}/members/{gone}",
    )
    called = {path: names_in(await roster.ok("owner", "GET", path), gone) for path in surfaces}
    assert called == {path: {"Deleted user"} for path in surfaces}

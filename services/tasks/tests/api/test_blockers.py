"""B9: what blocks a task does so as long as it is open and there, whether who completes the task sees it or not."""

import pytest

FREE = None


class Blocked:
    """A task of the roster's project, and one that blocks it, which may be in another project."""

    def __init__(self, roster, task, blocker):
        self.roster, self.task, self.blocker = roster, task, blocker
        self.path, self.blocker_path = f"/tasks/{task['id']}", f"/tasks/{blocker['id']}"

    async def completing(self, who="editor", query=""):
        return await self.roster.ask(who, "PATCH", self.path + query, {"status": "done"})

    async def says(self, who="editor"):
        """Return what is in the way of a completion, which is taken back when nothing is; and the relations shown."""
        answer = await self.completing(who)
        if answer.status_code == 200:
            await self.roster.ok(who, "PATCH", self.path, {"status": "todo"})
            told = answer.json()["meta"].get("warnings", FREE)
        else:
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "BLOCKED_BY")
            told = answer.json()["data"]
        related = await self.roster.ok(who, "GET", f"{self.path}/relations")
        return told, [(one["type"], one["task"]["status_category"]) for one in related]

    async def told(self, who="editor"):
        """Return what the blocked task's history says of relations, the newest first."""
        entries = await self.roster.ok(who, "GET", f"{self.path}/history?per_page=100")
        return [one["type"] for one in entries if one["entity_type"] == "relation"]


@pytest.fixture
async def make(roster):
    """Relates two tasks from the blocker's end; the project of the blocked one asks for that."""

    async def made(rule="block", **of_project):
        project = await roster.ok("owner", "GET", f"/projects/{roster.project_id}")
        if project["enforce_blockers"] != rule:
            await roster.ok("owner", "PATCH", f"/projects/{roster.project_id}", {"enforce_blockers": rule})
        there = {"name": "There", "workspace_id": str(roster.workspace_id), **of_project}
        place = await roster.ok("owner", "POST", "/projects", there)
        task, blocker = await roster.task(), await roster.task(title="Unheard of", project_id=place["id"])
        wanted = {"type": "blocks", "task_id": task["id"]}
        await roster.ok("owner", "POST", f"/tasks/{blocker['id']}/relations", wanted)
        return Blocked(roster, task, blocker)

    return made


async def test_b9_a_task_is_blocked_exactly_while_its_blocker_is_open_and_there(roster, make):
    case = await make()
    place, blocker = f"/projects/{case.blocker['project_id']}", case.blocker_path
    blocking = {"task_ids": [case.blocker["id"]], "hidden": 0}
    is_open, is_done, is_cancelled = ([("blocked_by", name)] for name in ("todo", "done", "cancelled"))
    assert await case.says("member") == (blocking, is_open)
    steps = [
        ("PATCH", blocker, {"status": "done"}, FREE, is_done),
        ("PATCH", blocker, {"status": "todo"}, blocking, is_open),
        ("PATCH", blocker, {"status": "cancelled"}, FREE, is_cancelled),
        ("PATCH", blocker, {"status": "todo"}, blocking, is_open),
        ("DELETE", blocker, None, FREE, []),
        ("POST", f"{blocker}/restore", None, blocking, is_open),
        ("POST", f"{place}/archive", None, blocking, is_open),
        ("POST", f"{place}/unarchive", None, blocking, is_open),
        ("DELETE", place, None, FREE, []),
        ("POST", f"{place}/restore", None, blocking, is_open),
        ("DELETE", f"{blocker}?permanent=true", None, FREE, []),
    ]
    for method, path, body, told, related in steps:
        await roster.ok("owner", method, path, body)
        assert await case.says("member") == (told, related), (method, path, body)
        assert await case.told("member") == ["relation.created"] * len(related), (method, path, body)


async def test_b9_a_relation_that_is_deleted_and_undone_frees_and_blocks_again(roster, make):
    case = await make()
    [relation] = await roster.ok("owner", "GET", f"{case.path}/relations")
    deleted = await roster.ask("owner", "DELETE", f"{case.blocker_path}/relations/{relation['id']}")
    assert await case.says("member") == (FREE, [])
    await roster.ok("owner", "POST", f"/operations/{deleted.headers['x-request-id']}/undo")
    assert await case.says("member") == (
        {"task_ids": [case.blocker["id"]], "hidden": 0},
        [("blocked_by", "todo")],
    )
    assert await case.told("member") == ["relation.created", "relation.deleted", "relation.created"]


async def test_b9_what_is_hidden_blocks_and_is_not_told(roster, make):
    case = await make(visibility="private")
    hidden = ({"task_ids": [], "hidden": 1}, [])
    for who in ("member", "editor"):
        answer = await case.completing(who)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "BLOCKED_BY")
        said = [answer.text + str(answer.headers)]
        said += [(await roster.ask(who, "GET", case.path + more)).text for more in ("", "/relations", "/history")]
        secrets = (case.blocker["id"], case.blocker["key"], case.blocker["title"], case.blocker["project_id"])
        assert not [(secret, text) for secret in secrets for text in said if secret in text]
        assert await case.says(who) == hidden
        assert await case.told(who) == []
    for method, path, body, told in (
        ("PATCH", case.blocker_path, {"status": "done"}, FREE),
        ("PATCH", case.blocker_path, {"status": "todo"}, hidden[0]),
        ("DELETE", case.blocker_path, None, FREE),
        ("POST", f"{case.blocker_path}/restore", None, hidden[0]),
        ("DELETE", f"{case.blocker_path}?permanent=true", None, FREE),
    ):
        await roster.ok("owner", method, path, body)
        assert await case.says() == (told, []), (method, path, body)


async def test_b9_a_warning_of_what_is_hidden_counts_it(make):
    case = await make("warn", visibility="private")
    [[warning], related] = await case.says()
    assert (warning["code"], warning["task_ids"], warning["hidden"], related) == ("BLOCKED", [], 1, [])


async def test_b9_a_manager_forces_past_what_they_do_not_see(roster, make):
    case = await make(visibility="private")
    manager = f"/projects/{roster.project_id}/members/{roster.id('guest')}"
    await roster.ok("owner", "PUT", manager, {"role": "manager"})
    assert (await case.completing("guest")).json()["data"] == {"task_ids": [], "hidden": 1}
    assert (await case.completing("guest", "?force=true")).status_code == 200
    [newest, *_] = await roster.ok("guest", "GET", f"{case.path}/history")
    assert newest["reason"] == "forced past blockers"


async def test_b9_the_last_answer_of_an_assignee_completes_nothing_that_is_blocked(roster, make):
    """An answer that would complete the task is refused, and is not kept."""
    case = await make()
    await roster.ok("owner", "PUT", f"{case.path}/assignees", {"user_ids": roster.several("member")})
    answered = f"{case.path}/assignees/{roster.id('member')}"
    answer = await roster.ask("member", "PATCH", answered, {"state": "done"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "BLOCKED_BY")
    [row] = await roster.ok("member", "GET", f"{case.path}/assignees")
    assert row["state"] == "pending"
    await roster.ok("owner", "PATCH", case.blocker_path, {"status": "done"})
    await roster.ok("member", "PATCH", answered, {"state": "done"})
    assert (await roster.ok("member", "GET", case.path))["status_category"] == "done"

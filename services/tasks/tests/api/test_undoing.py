"""What a request changed is turned back, all of it or nothing (H5)."""

import asyncio
import random

import pytest
from chassis.ids import uuid7
from tasks_service.reverting.rules import OWN


def own(task):
    return {name: task[name] for name in OWN}


class Undoing:
    """A team whose requests have ids that are known, and which undoes them."""

    def __init__(self, roster):
        self.roster = roster
        self.last = ""

    async def do(self, method, path, body=None, who="owner"):
        """Send a request that has to succeed under an id of its own, and return the data."""
        self.last = str(uuid7())
        return await self.roster.ok(who, method, path, body, **{"x-request-id": self.last})

    async def ask(self, request_id=None, who="owner", **headers):
        path = f"/operations/{request_id or self.last}/undo"
        return await self.roster.ask(who, "POST", path, **headers)

    async def undo(self, request_id=None, who="owner"):
        """Undo a request, which has to succeed, as the last one; return what changed by types."""
        self.last, asked = str(uuid7()), request_id or self.last
        answer = await self.ask(asked, who, **{"x-request-id": self.last})
        assert answer.status_code == 200, answer.text
        return [one["type"] for one in answer.json()["data"]]

    async def refused(self, request_id=None, who="owner"):
        """Undo a request in vain; return the status, the codes and the conflicts, having changed nothing."""
        count = len(await self.roster.log())
        answer = await self.ask(request_id, who)
        assert await self.roster.log_after(count) == []
        body = answer.json()
        conflicts = (body["data"] or {}).get("conflicts", ())
        return answer.status_code, body["errors"][0]["code"], [(one["entity_type"], one["field"]) for one in conflicts]

    async def task(self, task):
        return await self.roster.ok("owner", "GET", f"/tasks/{task['id']}")

    async def status_of(self, path, who="owner"):
        return (await self.roster.ask(who, "GET", path)).status_code


@pytest.fixture
def undoing(roster):
    return Undoing(roster)


async def named(undoing, kind, name="n"):
    return await undoing.do("POST", f"/{kind}", {"name": name, "workspace_id": str(undoing.roster.workspace_id)})


async def test_h5_a_change_of_a_task_is_undone_and_done_again(undoing, roster):
    label, category = await named(undoing, "labels"), await named(undoing, "categories")
    parent = await roster.task()
    task = await roster.task(assignees=roster.several("member"))
    body = {
        "title": "b",
        "status": "done",
        "due": "2026-12-01",
        "assignees": roster.several("admin", "member"),
        "labels": [label["id"]],
        "category_id": category["id"],
        "parent_id": parent["id"],
        "custom": {"a": 1},
    }
    changed = await undoing.do("PATCH", f"/tasks/{task['id']}", body)
    count = len(await roster.log())
    asked = undoing.last
    assert await undoing.undo() == ["task.updated", "task.updated"]
    assert {kind for kind, _, _ in await roster.log_after(count)} == {"task.updated.v1"}
    undone = await undoing.task(task)
    assert (own(undone), undone["parent_id"], undone["version"]) == (own(task), None, 3)
    assert (await undoing.task(parent))["progress"] == {"done": 0, "total": 0}
    [newest, *_] = await roster.ok("owner", "GET", f"/tasks/{task['id']}/history?field=title")
    assert newest["reason"] == f"undo of {asked}"
    await undoing.undo()
    again = await undoing.task(task)
    assert (own(again), again["parent_id"]) == (own(changed), parent["id"])


async def test_h5_twice_is_a_conflict(undoing, roster):
    task = await roster.task()
    await undoing.do("PATCH", f"/tasks/{task['id']}", {"title": "b"})
    asked = undoing.last
    await undoing.undo()
    assert await undoing.refused(asked) == (409, "UNDO_CONFLICT", [("task", "title")])
    body = (await undoing.ask(asked)).json()
    assert body["message"] == "This is undone already, so nothing is turned back."
    told = f"This is undone already, of the task {task['id']}."
    assert [one["message"] for one in body["errors"]] == [told]


@pytest.mark.parametrize("who", ["owner", "member"])
async def test_h5_what_was_changed_since_is_a_conflict_and_nothing_is_undone(undoing, roster, who):
    task = await roster.task()
    await undoing.do("PATCH", f"/tasks/{task['id']}", {"title": "b", "priority": "high"})
    await roster.ok(who, "PATCH", f"/tasks/{task['id']}", {"title": "c"})
    answer = await undoing.ask()
    seq = (await roster.ok("owner", "GET", f"/tasks/{task['id']}/history"))[0]["seq"]
    conflict = {"entity_type": "task", "entity_id": task["id"], "field": "title", "seq": seq}
    assert (answer.status_code, answer.json()["data"]) == (409, {"conflicts": [conflict]})
    [error] = answer.json()["errors"]
    assert (error["code"], error["field"]) == ("UNDO_CONFLICT", "title")
    assert error["message"] == f"This was changed since, of the task {task['id']}."
    assert (await undoing.task(task))["priority"] == "high"


async def test_h5_what_was_undone_since_is_no_conflict_and_what_was_done_again_is(undoing, roster):
    task = await roster.task()
    await undoing.do("PATCH", f"/tasks/{task['id']}", {"title": "b"})
    first = undoing.last
    await undoing.do("PATCH", f"/tasks/{task['id']}", {"title": "c"}, who="member")
    second = undoing.last
    assert await undoing.refused(first) == (409, "UNDO_CONFLICT", [("task", "title")])
    await undoing.undo(second, who="member")
    await undoing.undo(who="member")
    assert await undoing.refused(first) == (409, "UNDO_CONFLICT", [("task", "title")])
    await undoing.undo(who="member")
    await undoing.undo(first)
    assert (await undoing.task(task))["title"] == "a"


async def test_h5_other_fields_may_have_changed_since(undoing, roster):
    task = await roster.task()
    await undoing.do("PATCH", f"/tasks/{task['id']}", {"title": "b"})
    await roster.ok("member", "PATCH", f"/tasks/{task['id']}", {"priority": "high"})
    await undoing.undo()
    undone = await undoing.task(task)
    assert (undone["title"], undone["priority"]) == ("a", "high")


async def test_h5_what_was_deleted_since_is_a_conflict(undoing, roster):
    task = await roster.task()
    await undoing.do("PATCH", f"/tasks/{task['id']}", {"title": "b"})
    await roster.ok("member", "DELETE", f"/tasks/{task['id']}")
    assert await undoing.refused() == (409, "UNDO_CONFLICT", [("task", "deleted_at")])


async def test_h5_a_task_that_was_made_goes_to_the_trash_and_comes_back(undoing, roster):
    parent = await roster.task()
    made = await undoing.do(
        "POST", "/tasks", {"title": "b", "project_id": str(roster.project_id), "parent_id": parent["id"]}
    )
    assert await undoing.undo() == ["task.deleted", "task.updated"]
    assert await undoing.status_of(f"/tasks/{made['id']}") == 404
    assert await undoing.undo() == ["task.restored", "task.updated"]
    assert (await undoing.task(made))["parent_id"] == parent["id"]


async def test_h5_a_task_that_others_went_on_with_is_not_unmade(undoing, roster):
    made = await undoing.do("POST", "/tasks", {"title": "b", "project_id": str(roster.project_id)})
    await roster.ok("member", "PATCH", f"/tasks/{made['id']}", {"description": "words"})
    assert await undoing.refused() == (409, "UNDO_CONFLICT", [("task", "description")])
    other = await undoing.do("POST", "/tasks", {"title": "b", "project_id": str(roster.project_id)})
    asked = undoing.last
    await roster.task(parent_id=other["id"])
    assert await undoing.refused(asked) == (409, "UNDO_CONFLICT", [("task", "progress")])


async def test_h5_a_tree_that_was_deleted_comes_back_as_one(undoing, roster):
    root = await roster.task()
    child = await roster.task(parent_id=root["id"])
    leaf = await roster.task(parent_id=child["id"])
    await undoing.do("DELETE", f"/tasks/{root['id']}")
    assert await undoing.undo() == ["task.restored"] * 3
    assert (await undoing.task(leaf))["parent_id"] == child["id"]
    assert (await undoing.task(root))["progress"] == {"done": 0, "total": 1}
    assert await undoing.undo() == ["task.deleted"] * 3
    assert await undoing.status_of(f"/tasks/{leaf['id']}") == 404


async def test_h5_a_restored_task_goes_back_to_the_trash(undoing, roster):
    root = await roster.task()
    await roster.task(parent_id=root["id"])
    await roster.ok("owner", "DELETE", f"/tasks/{root['id']}")
    await undoing.do("POST", f"/tasks/{root['id']}/restore")
    assert await undoing.undo() == ["task.deleted"] * 2
    assert [one["id"] for one in await roster.ok("owner", "GET", "/trash")] == [root["id"]]


async def test_h5_tasks_that_were_completed_together_are_open_again(undoing, roster):
    root = await roster.task()
    child = await roster.task(parent_id=root["id"])
    await undoing.do("PATCH", f"/tasks/{root['id']}?children=complete", {"status": "done"})
    await undoing.undo()
    assert [(await undoing.task(one))["status"] for one in (root, child)] == ["todo", "todo"]
    await undoing.undo()
    assert [(await undoing.task(one))["status"] for one in (root, child)] == ["done", "done"]
    assert (await undoing.task(root))["progress"] == {"done": 1, "total": 1}


async def test_h5_a_task_goes_back_to_its_place(undoing, roster):
    task, other = await roster.task(), await roster.task()
    await undoing.do("POST", f"/tasks/{task['id']}/position", {"after_id": other["id"]})
    await undoing.undo()
    assert (await undoing.task(task))["position"] == task["position"]


async def test_h5_a_tree_moves_back_to_its_project(undoing, roster):
    other = await roster.ok("owner", "POST", "/projects", {"name": "Q", "workspace_id": str(roster.workspace_id)})
    waiting = await roster.ok(
        "owner", "POST", f"/projects/{roster.project_id}/statuses", {"name": "Waiting", "category": "in_progress"}
    )
    parent = await roster.task()
    task = await roster.task(parent_id=parent["id"], assignees=roster.several("editor", "member"))
    child = await roster.task(parent_id=task["id"], status=waiting["key"])
    await undoing.do("POST", f"/tasks/{task['id']}/move", {"project_id": other["id"]})
    moved = await undoing.task(task)
    assert (moved["project_id"], moved["parent_id"], moved["assignees"]) == (
        other["id"],
        None,
        roster.several("member"),
    )
    await undoing.undo()
    for one in (task, child):
        back = await undoing.task(one)
        assert own(back) == own(one)
        assert [back[name] for name in ("project_id", "parent_id", "position")] == [
            one[name] for name in ("project_id", "parent_id", "position")
        ]
    assert (await undoing.task(parent))["progress"] == {"done": 0, "total": 1}
    await undoing.do("POST", f"/tasks/{task['id']}/move", {"project_id": other["id"]})
    asked = undoing.last
    await roster.ok("owner", "POST", f"/tasks/{task['id']}/move", {"project_id": str(roster.project_id)})
    assert (await undoing.refused(asked))[:2] == (409, "UNDO_CONFLICT")


async def test_h5_a_copy_goes_with_what_was_copied_onto_it(undoing, roster):
    task = await roster.task()
    await roster.task(parent_id=task["id"])
    await roster.ok("owner", "POST", f"/tasks/{task['id']}/checklist", {"text": "a"})
    made = await undoing.do("POST", f"/tasks/{task['id']}/duplicate", {})
    assert set(await undoing.undo()) <= {"task.deleted", "task.updated"}
    assert await undoing.status_of(f"/tasks/{made['id']}") == 404
    await undoing.undo()
    assert (await undoing.task(made))["title"] == made["title"]
    assert [one["text"] for one in await roster.ok("owner", "GET", f"/tasks/{made['id']}/checklist")] == ["a"]


async def test_h5_assignees_and_what_they_say(undoing, roster):
    task = await roster.task(assignees=roster.several("member"), completion_policy="all")
    await undoing.do("POST", f"/tasks/{task['id']}/assignees", {"user_id": roster.id("admin")})
    await undoing.undo()
    assert (await undoing.task(task))["assignees"] == roster.several("member")
    path = f"/tasks/{task['id']}/assignees/{roster.id('member')}"
    await undoing.do("PATCH", path, {"state": "done"}, who="member")
    assert (await undoing.task(task))["status"] == "done"
    await undoing.undo(who="member")
    assert (await undoing.task(task))["status"] == "todo"
    assert [one["state"] for one in await roster.ok("owner", "GET", f"/tasks/{task['id']}/assignees")] == ["pending"]
    await undoing.undo(who="member")
    assert (await undoing.task(task))["status"] == "done"


async def test_h5_comments(undoing, roster):
    task = await roster.task()
    path = f"/tasks/{task['id']}/comments"
    made = await undoing.do("POST", path, {"body": "first words"}, who="member")
    making = undoing.last
    await undoing.do("PATCH", f"{path}/{made['id']}", {"body": "other words"}, who="member")
    assert await undoing.refused(making, who="member") == (409, "UNDO_CONFLICT", [("comment", "body")])
    assert await undoing.undo(who="member") == ["comment.updated"]
    assert (await roster.ok("owner", "GET", f"{path}/{made['id']}"))["body"] == "first words"
    made = await undoing.do("POST", path, {"body": "more words"}, who="member")
    assert await undoing.undo(who="member") == ["comment.deleted"]
    assert (await roster.ok("owner", "GET", f"{path}/{made['id']}"))["body"] is None
    assert await undoing.refused(who="member") == (409, "UNDO_NOT_POSSIBLE", [])


async def test_h5_the_words_of_a_deleted_comment_do_not_come_back(undoing, roster):
    task = await roster.task()
    path = f"/tasks/{task['id']}/comments"
    made = await roster.ok("member", "POST", path, {"body": "secret one"})
    await undoing.do("PATCH", f"{path}/{made['id']}", {"body": "secret two"}, who="member")
    edit = undoing.last
    await undoing.do("DELETE", f"{path}/{made['id']}", who="member")
    for request_id, code in ((edit, "UNDO_CONFLICT"), (undoing.last, "UNDO_NOT_POSSIBLE")):
        answer = await undoing.ask(request_id, "member")
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, code)
        assert "secret" not in answer.text
    assert (await roster.ok("owner", "GET", f"{path}/{made['id']}"))["body"] is None


async def test_h5_items_of_checklists(undoing, roster):
    task = await roster.task()
    path = f"/tasks/{task['id']}/checklist"
    first = await roster.ok("owner", "POST", path, {"text": "a"})
    second = await undoing.do("POST", path, {"text": "b", "assignee_id": roster.id("member"), "due_date": "2026-12-01"})
    await undoing.undo()
    assert [one["id"] for one in await roster.ok("owner", "GET", path)] == [first["id"]]
    assert await undoing.undo() == ["checklist_item.created"]
    [_, again] = await roster.ok("owner", "GET", path)
    moving = ("version", "updated_at")
    assert {**again, **dict.fromkeys(moving)} == {**second, **dict.fromkeys(moving)}
    assert again["version"] == 3
    await undoing.do("PATCH", f"{path}/{again['id']}", {"text": "c", "done": True, "before_id": first["id"]})
    await undoing.undo()
    [_, same] = await roster.ok("owner", "GET", path)
    assert {**same, **dict.fromkeys(moving)} == {**second, **dict.fromkeys(moving)}
    await undoing.do("DELETE", f"{path}/{again['id']}")
    asked = undoing.last
    await undoing.undo()
    assert [one["text"] for one in await roster.ok("owner", "GET", path)] == ["a", "b"]
    assert (await undoing.refused(asked))[:2] == (409, "UNDO_CONFLICT")


async def test_h5_an_item_that_became_a_subtask(undoing, roster):
    task = await roster.task()
    path = f"/tasks/{task['id']}/checklist"
    item = await roster.ok("owner", "POST", path, {"text": "a"})
    await undoing.do("POST", f"{path}/{item['id']}/convert")
    await undoing.undo()
    assert [one["id"] for one in await roster.ok("owner", "GET", path)] == [item["id"]]
    assert (await undoing.task(task))["progress"] == {"done": 0, "total": 0}


async def test_h5_relations(undoing, roster):
    task, other = await roster.task(), await roster.task()
    path = f"/tasks/{task['id']}/relations"
    made = await undoing.do("POST", path, {"type": "blocked_by", "task_id": other["id"]})
    await undoing.undo()
    assert await roster.ok("owner", "GET", path) == []
    await undoing.undo()
    [again] = await roster.ok("owner", "GET", path)
    assert (again["id"], again["type"], again["task"]["id"]) == (made["id"], "blocked_by", other["id"])
    await undoing.do("DELETE", f"/tasks/{other['id']}/relations/{made['id']}")
    await undoing.undo()
    assert [one["id"] for one in await roster.ok("owner", "GET", path)] == [made["id"]]


@pytest.mark.parametrize(
    ("path", "types"),
    [
        ("star", ("star.added", "star.removed")),
        ("watchers/mute", ("watcher.updated", "watcher.updated")),
        ("comments/{comment}/reactions/👍", ("reaction.added", "reaction.removed")),
        ("labels/{label}", ("personal_label.added", "personal_label.removed")),
    ],
)
async def test_h5_marks_of_ones_own(undoing, roster, path, types):
    task = await roster.task()
    comment = await roster.ok("owner", "POST", f"/tasks/{task['id']}/comments", {"body": "b"})
    await roster.ok("commenter", "POST", "/tasks", {"title": "for a workspace of one's own"})
    label = await roster.ok("commenter", "POST", "/labels", {"name": "mine", "personal": True})
    path = f"/tasks/{task['id']}/{path.format(comment=comment['id'], label=label['id'])}"
    await undoing.do("PUT", path, who="commenter")
    assert await undoing.undo(who="commenter") == [types[1]]
    assert await undoing.undo(who="commenter") == [types[0]]
    await undoing.do("DELETE", path, who="commenter")
    asked = undoing.last
    assert await undoing.undo(who="commenter") == [types[0]]
    assert (await undoing.refused(asked, "commenter"))[:2] == (409, "UNDO_CONFLICT")


async def test_h5_watching(undoing, roster):
    task = await roster.task()
    path = f"/tasks/{task['id']}/watchers"
    await undoing.do("POST", path, {"user_id": roster.id("member")})
    assert await undoing.undo() == ["watcher.removed"]
    assert await undoing.undo() == ["watcher.added"]
    await undoing.do("DELETE", f"{path}/{roster.id('member')}")
    assert await undoing.undo() == ["watcher.added"]


@pytest.mark.parametrize("kind", ["labels", "categories"])
async def test_h5_labels_and_categories(undoing, roster, kind):
    made = await named(undoing, kind, "one")
    making = undoing.last
    path = f"/{kind}/{made['id']}"
    await undoing.do("PATCH", path, {"name": "two", "color": "#000000"})
    assert (await undoing.refused(making))[:2] == (409, "UNDO_CONFLICT")
    await undoing.undo()
    found = await roster.ok("owner", "GET", path)
    assert (found["name"], found["color"]) == ("one", None)
    other = await named(undoing, kind, "other")
    making = undoing.last
    task = await roster.task(**({"labels": [other["id"]]} if kind == "labels" else {"category_id": other["id"]}))
    assert (await undoing.refused(making))[:2] == (409, "UNDO_CONFLICT")
    await roster.ok("owner", "PATCH", f"/tasks/{task['id']}", {"labels": [], "category_id": None})
    await undoing.undo(making)
    assert await undoing.status_of(f"/{kind}/{other['id']}") == 404
    assert await undoing.refused() == (409, "UNDO_NOT_POSSIBLE", [])


async def test_h5_a_label_that_is_gone_does_not_come_back_onto_a_task(undoing, roster):
    label = await named(undoing, "labels")
    task = await roster.task(labels=[label["id"]])
    await undoing.do("PATCH", f"/tasks/{task['id']}", {"labels": []})
    await roster.ok("owner", "DELETE", f"/labels/{label['id']}")
    assert await undoing.refused() == (409, "UNDO_NOT_POSSIBLE", [])


async def test_h5_statuses(undoing, roster):
    path = f"/projects/{roster.project_id}/statuses"
    made = await undoing.do("POST", path, {"name": "Review", "category": "in_progress"})
    making = undoing.last
    await undoing.do("PATCH", f"{path}/{made['id']}", {"name": "Checks"})
    await undoing.undo()
    assert "Review" in [one["name"] for one in await roster.ok("owner", "GET", path)]
    await undoing.do("PATCH", f"{path}/{made['id']}", {"key": "checks"})
    assert await undoing.refused() == (409, "UNDO_NOT_POSSIBLE", [])
    assert (await undoing.refused(making))[:2] == (409, "UNDO_CONFLICT")
    other = await undoing.do("POST", path, {"name": "Other", "category": "in_progress"})
    task = await roster.task(status=other["key"])
    asked = undoing.last
    assert (await undoing.refused(asked))[:2] == (409, "STATUS_IN_USE")
    await roster.ok("owner", "PATCH", f"/tasks/{task['id']}", {"status": "todo"})
    assert await undoing.undo(asked) == ["status.deleted"]


async def test_h5_projects(undoing, roster):
    body = {"name": "Q", "workspace_id": str(roster.workspace_id)}
    made = await undoing.do("POST", "/projects", body, who="member")
    making = undoing.last
    task = await roster.ok("member", "POST", "/tasks", {"title": "a", "project_id": made["id"]})
    assert (await undoing.refused(making, "member"))[:2] == (409, "UNDO_CONFLICT")
    await roster.ok("member", "DELETE", f"/tasks/{task['id']}")
    assert await undoing.undo(making, who="member") == ["project.deleted"]
    assert await undoing.undo(who="member") == ["project.restored"]
    path = f"/projects/{made['id']}"
    await undoing.do("PATCH", path, {"name": "R", "prefix": "RRR", "description": "d", "member_role": "viewer"})
    await undoing.undo()
    found = await roster.ok("owner", "GET", path)
    assert {name: found[name] for name in ("name", "prefix", "description", "member_role")} == {
        name: made[name] for name in ("name", "prefix", "description", "member_role")
    }
    await undoing.do("PATCH", path, {"visibility": "private"})
    assert await undoing.refused() == (409, "UNDO_NOT_POSSIBLE", [])


async def test_h5_archives_and_trees_of_projects(undoing, roster):
    outer = str(roster.project_id)
    inner = await roster.ok(
        "owner", "POST", "/projects", {"name": "Q", "workspace_id": str(roster.workspace_id), "parent_id": outer}
    )
    await undoing.do("POST", f"/projects/{outer}/archive")
    assert await undoing.undo() == ["project.updated"] * 2
    assert (await roster.ok("owner", "GET", f"/projects/{inner['id']}"))["archived_at"] is None
    await undoing.undo()
    assert (await roster.ok("owner", "GET", f"/projects/{inner['id']}"))["archived_at"] is not None
    await roster.ok("owner", "POST", f"/projects/{outer}/unarchive")
    await roster.ok("owner", "POST", f"/projects/{inner['id']}/unarchive")
    await undoing.do("DELETE", f"/projects/{outer}")
    assert await undoing.undo() == ["project.restored"] * 2
    assert (await roster.ok("owner", "GET", f"/projects/{inner['id']}"))["parent_id"] == outer


@pytest.mark.parametrize(
    ("method", "path", "body", "kind"),
    [
        ("PATCH", "/workspaces/{workspace}", {"name": "V"}, "workspace.updated"),
        ("PUT", "/tasks/{task}/shares/{guest}", {"role": "viewer"}, "task_share.added"),
        ("PUT", "/projects/{project}/members/{guest}", {"role": "viewer"}, "project_member.added"),
        ("DELETE", "/workspaces/{workspace}/members/{guest}", None, "member.removed"),
        ("DELETE", "/tasks/{task}?permanent=true", None, "task.purged"),
    ],
)
async def test_h5_what_has_no_way_back_is_named(undoing, roster, method, path, body, kind):
    task = await roster.task()
    names = {"workspace": roster.workspace_id, "project": roster.project_id, "guest": roster.id("guest")}
    await undoing.do(method, path.format(task=task["id"], **names), body)
    answer = await undoing.ask()
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "UNDO_NOT_POSSIBLE")
    assert kind in answer.json()["data"]["types"]


async def test_h5_a_request_is_undone_within_its_time(undoing, roster, rows):
    task = await roster.task()
    await undoing.do("PATCH", f"/tasks/{task['id']}", {"title": "b"})
    age = "UPDATE tasks.change SET occurred_at = occurred_at - make_interval(secs => :s) WHERE request_id = :r"
    await rows(age, s=14 * 60 + 30, r=undoing.last)
    asked = undoing.last
    assert await undoing.undo() == ["task.updated"]
    await rows(age, s=31, r=asked)
    assert await undoing.refused(asked) == (410, "UNDO_EXPIRED", [])


async def test_h5_only_ones_own_requests_are_undone(undoing, roster):
    task = await roster.task()
    await undoing.do("PATCH", f"/tasks/{task['id']}", {"title": "b"})
    theirs = await undoing.ask(who="admin", **{"x-request-id": "some-request"})
    absent = await undoing.ask(str(uuid7()), who="admin", **{"x-request-id": "some-request"})
    assert (theirs.status_code, theirs.content) == (404, absent.content)
    short = await undoing.ask("short")
    assert (short.status_code, short.json()["errors"][0]["code"]) == (404, "NOT_FOUND")


async def test_h5_requests_of_one_id_are_undone_together(undoing, roster):
    task, other = await roster.task(), await roster.task()
    for title in ("b", "c"):
        for one in (task, other):
            await roster.ok(
                "owner", "PATCH", f"/tasks/{one['id']}", {"title": title}, **{"x-request-id": "the-same-id"}
            )
    await undoing.undo("the-same-id")
    assert [(await undoing.task(one))["title"] for one in (task, other)] == ["a", "a"]


async def test_h5_one_conflict_keeps_all_as_it_is(undoing, roster):
    task, other = await roster.task(), await roster.task()
    for one in (task, other):
        await roster.ok("owner", "PATCH", f"/tasks/{one['id']}", {"title": "b"}, **{"x-request-id": "the-same-id"})
    await roster.ok("member", "PATCH", f"/tasks/{task['id']}", {"title": "c"})
    assert await undoing.refused("the-same-id") == (409, "UNDO_CONFLICT", [("task", "title")])
    assert (await undoing.task(other))["title"] == "b"


async def test_h5_who_may_not_any_more_undoes_nothing(undoing, roster, rows):
    task = await roster.task()
    await undoing.do("PATCH", f"/tasks/{task['id']}", {"title": "b"}, who="editor")
    role = "UPDATE tasks.project_member SET role = :role WHERE user_id = :u"
    await rows(role, role="viewer", u=roster.ids["editor"])
    assert await undoing.refused(who="editor") == (403, "FORBIDDEN", [])
    await rows("DELETE FROM tasks.project_member WHERE user_id = :u", u=roster.ids["editor"])
    assert await undoing.refused(who="editor") == (404, "NOT_FOUND", [])
    await roster.ok("member", "PATCH", f"/tasks/{task['id']}", {"title": "c"})
    assert await undoing.refused(who="editor") == (404, "NOT_FOUND", [])


async def test_h5_a_token_undoes_what_it_may_do(undoing, roster):
    made = await undoing.do("POST", "/tasks", {"title": "b", "project_id": str(roster.project_id)})
    headers = {
        scopes: roster.gateway.token_headers(roster.ids["owner"], *scopes.split())
        for scopes in ("tasks:write", "tasks:write tasks:delete")
    }
    answer = await undoing.ask(**headers["tasks:write"])
    assert answer.status_code == 403
    elsewhere = roster.gateway.token_headers(roster.ids["owner"], "tasks:write", "tasks:delete", project_ids=[uuid7()])
    assert (await undoing.ask(**elsewhere)).status_code == 404
    assert (await undoing.ask(**headers["tasks:write tasks:delete"])).status_code == 200
    assert await undoing.status_of(f"/tasks/{made['id']}") == 404


async def test_h5_an_archived_project_undoes_nothing(undoing, roster):
    task = await roster.task()
    await undoing.do("PATCH", f"/tasks/{task['id']}", {"title": "b"})
    await roster.ok("owner", "POST", f"/projects/{roster.project_id}/archive")
    asked = undoing.last
    assert await undoing.refused(asked) == (409, "PROJECT_ARCHIVED", [])


async def test_h5_a_repeated_undo_gets_the_first_answer(undoing, roster):
    task = await roster.task()
    await undoing.do("PATCH", f"/tasks/{task['id']}", {"title": "b"})
    first, second = [await undoing.ask(**{"idempotency-key": "k"}) for _ in range(2)]
    assert (first.status_code, second.content) == (200, first.content)
    assert second.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("kind", ["task", "item"])
async def test_h5_of_undos_that_race_one_wins(undoing, roster, patient_api, kind):
    task = await roster.task()
    path = f"/tasks/{task['id']}/checklist"
    if kind == "task":
        await undoing.do("PATCH", f"/tasks/{task['id']}", {"title": "b"})
    else:
        item = await roster.ok("owner", "POST", path, {"text": "a"})
        await undoing.do("DELETE", f"{path}/{item['id']}")
    count = len(await roster.log())
    headers = roster.gateway.headers(roster.ids["owner"])
    asked = f"/api/v1/operations/{undoing.last}/undo"
    answers = await asyncio.gather(*(patient_api.post(asked, headers=headers) for _ in range(20)))
    # Who waits too long for the others, as on a busy machine, is told so.
    assert [one.status_code for one in answers].count(200) == 1
    assert {one.status_code for one in answers} <= {200, 409, 503}
    assert len(await roster.log_after(count)) == 1


async def test_h5_an_undo_that_races_with_changes_takes_none_of_them_back(undoing, roster, patient_api):
    """Whatever comes first: either the undo wins and the change is on top of it, or it is a conflict."""
    headers = roster.gateway.headers(roster.ids["owner"])
    outcomes = set()
    for number in range(12):
        task = await roster.task()
        await undoing.do("PATCH", f"/tasks/{task['id']}", {"title": "b"})
        undo = patient_api.post(f"/api/v1/operations/{undoing.last}/undo", headers=headers)
        change = patient_api.patch(f"/api/v1/tasks/{task['id']}", json={"title": "c"}, headers=headers)
        pair = (undo, change) if number % 2 else (change, undo)
        answers = await asyncio.gather(*pair)
        undone, changed = answers if number % 2 else reversed(answers)
        assert changed.status_code == 200
        assert undone.status_code in {200, 409}
        outcomes.add(undone.status_code)
        assert (await undoing.task(task))["title"] == "c"
    assert outcomes <= {200, 409}


def fields_at_random(dice, labels, people):
    wanted = {
        "title": dice.choice(["a", "b", "c"]),
        "description": dice.choice([None, "d"]),
        "status": dice.choice(["todo", "in_progress", "done"]),
        "priority": dice.choice(["none", "low", "urgent"]),
        "due": dice.choice([None, "2026-12-01", {"at": "2026-12-02T08:00:00Z", "timezone": "Asia/Tokyo"}]),
        "start": dice.choice([None, "2026-11-01"]),
        "estimate_minutes": dice.choice([None, 5]),
        "completion_policy": dice.choice(["any", "all", "quorum:2"]),
        "reopen_on_assign": dice.choice([True, False]),
        "custom": dice.choice([{}, {"a": 1}, {"b": [2]}]),
        "labels": dice.sample(labels, dice.randrange(3)),
        "assignees": dice.sample(people, dice.randrange(4)),
    }
    return {name: wanted[name] for name in dice.sample(sorted(wanted), dice.randrange(1, 5))}


@pytest.mark.parametrize("seed", [1, 2])
async def test_h5_undoing_all_newest_first_gives_every_former_state(undoing, roster, seed):
    dice = random.Random(seed)
    labels = [(await named(undoing, "labels", name))["id"] for name in "lm"]
    people = roster.several("owner", "admin", "member")
    task = await roster.task()
    before = []
    for _ in range(30):
        now = await undoing.task(task)
        after = await undoing.do("PATCH", f"/tasks/{task['id']}", fields_at_random(dice, labels, people))
        if after["version"] != now["version"]:
            before.append((undoing.last, own(now)))
    for request_id, state in reversed(before):
        assert await undoing.undo(request_id)
        assert own(await undoing.task(task)) == state


async def another_project(roster, **fields):
    body = {"name": "Q", "workspace_id": str(roster.workspace_id), **fields}
    return await roster.ok("owner", "POST", "/projects", body)


async def test_h5_a_tree_moves_back_with_what_is_in_the_trash(undoing, roster, rows):
    there, root = await another_project(roster), await roster.task()
    gone = await roster.task(parent_id=root["id"])
    await roster.ok("owner", "DELETE", f"/tasks/{gone['id']}")
    await undoing.do("POST", f"/tasks/{root['id']}/move", {"project_id": there["id"]})
    assert await undoing.undo() == ["task.moved", "task.moved", "task.updated"]
    assert (await undoing.task(root))["position"] == root["position"]
    places = "SELECT DISTINCT project_id FROM tasks.task WHERE id IN (:root, :gone)"
    assert await rows(places, root=root["id"], gone=gone["id"]) == [(roster.project_id,)]
    back = await roster.ok("owner", "POST", f"/tasks/{gone['id']}/restore")
    assert (back["parent_id"], back["project_id"]) == (root["id"], str(roster.project_id))


async def test_h5_each_task_of_a_tree_that_moves_back_gets_its_own_status(undoing, roster):
    there = await another_project(roster)
    here = f"/projects/{roster.project_id}/statuses"
    await roster.ok("owner", "POST", here, {"name": "Idea", "key": "idea", "category": "backlog"})
    root = await roster.task(status="idea")
    child = await roster.task(parent_id=root["id"])
    mapped = {"project_id": there["id"], "status_map": {"idea": "todo"}}
    await undoing.do("POST", f"/tasks/{root['id']}/move", mapped)
    await undoing.undo()
    assert [(await undoing.task(one))["status"] for one in (root, child)] == ["idea", "todo"]


async def test_h5_a_tree_moves_back_to_statuses_that_only_it_has(undoing, roster):
    there = await another_project(roster)
    here = f"/projects/{roster.project_id}/statuses"
    await roster.ok("owner", "POST", here, {"name": "Idea", "key": "idea", "category": "backlog"})
    for status in await roster.ok("owner", "GET", here):
        if status["key"] not in {"idea", "done"}:
            await roster.ok("owner", "DELETE", f"{here}/{status['id']}")
    root = await roster.task(status="done")
    child = await roster.task(parent_id=root["id"], status="idea")
    mapped = {"project_id": there["id"], "status_map": {"idea": "todo"}}
    await undoing.do("POST", f"/tasks/{root['id']}/move", mapped)
    await undoing.undo()
    assert [(await undoing.task(one))["status"] for one in (root, child)] == ["done", "idea"]


async def test_h5_a_task_that_went_where_the_caller_sees_nothing_is_absent(undoing, roster):
    """What was changed there since is not told as a conflict."""
    hidden, task = await another_project(roster, visibility="private"), await roster.task()
    await undoing.do("PATCH", f"/tasks/{task['id']}", {"title": "b"}, who="member")
    asked = undoing.last
    await roster.ok("owner", "POST", f"/tasks/{task['id']}/move", {"project_id": hidden["id"]})
    await roster.ok("owner", "PATCH", f"/tasks/{task['id']}", {"title": "c"})
    theirs = await undoing.ask(asked, who="member", **{"x-request-id": "some-request"})
    absent = await undoing.ask(str(uuid7()), who="member", **{"x-request-id": "some-request"})
    assert (theirs.status_code, theirs.content) == (404, absent.content)
    # Whom it is shared with sees it, and so what is in the way.
    await roster.ok("owner", "PUT", f"/tasks/{task['id']}/shares/{roster.id('member')}", {"role": "editor"})
    assert (await undoing.refused(asked, who="member"))[:2] == (409, "UNDO_CONFLICT")


async def test_h5_a_task_that_was_deleted_for_good_since_is_a_conflict(undoing, roster):
    task = await roster.task()
    await undoing.do("DELETE", f"/tasks/{task['id']}")
    asked = undoing.last
    await roster.ok("owner", "DELETE", f"/tasks/{task['id']}?permanent=true")
    assert await undoing.refused(asked) == (409, "UNDO_CONFLICT", [("task", "deleted_at")])


async def test_h5_a_place_that_another_task_has_now_is_beside_it(undoing, roster, rows):
    first, _, task, other = [await roster.task() for _ in range(4)]
    await roster.ok("owner", "POST", f"/tasks/{task['id']}/position", {"after_id": first["id"]})
    await undoing.do("POST", f"/tasks/{task['id']}/position", {"after_id": other["id"]})
    await roster.ok("owner", "POST", f"/tasks/{other['id']}/position", {"after_id": first["id"]})
    await undoing.undo()
    order = await rows(
        "SELECT id::text FROM tasks.task WHERE project_id = :id ORDER BY position, id", id=roster.project_id
    )
    assert [one for (one,) in order][:3] == [first["id"], other["id"], task["id"]]
    places = "SELECT count(DISTINCT position)::int FROM tasks.task WHERE project_id = :id"
    assert await rows(places, id=roster.project_id) == [(4,)]


async def test_h5_what_a_request_changed_is_of_one_instant(undoing, roster, rows):
    """So that its time is over for all of it at once."""
    there, root = await another_project(roster), await roster.task()
    for _ in range(3):
        await roster.task(parent_id=root["id"])
    await undoing.do("POST", f"/tasks/{root['id']}/move", {"project_id": there["id"]})
    times = "SELECT count(DISTINCT occurred_at)::int, count(*)::int FROM tasks.change WHERE request_id = :r"
    assert await rows(times, r=undoing.last) == [(1, 4)]


@pytest.mark.parametrize("verb", ["made", "restored"])
async def test_h5_subtasks_of_others_do_not_go_to_the_trash_with_a_task(undoing, roster, verb):
    task = await undoing.do("POST", "/tasks", {"title": "b", "project_id": str(roster.project_id)})
    if verb == "restored":
        await roster.ok("owner", "DELETE", f"/tasks/{task['id']}")
        await undoing.do("POST", f"/tasks/{task['id']}/restore")
    # It does not count, and so leaves the task as it was.
    below = {"title": "c", "status": "cancelled", "parent_id": task["id"]}
    await roster.ok("member", "POST", "/tasks", below)
    assert await undoing.refused() == (409, "UNDO_CONFLICT", [("task", None)])


async def test_h5_a_task_that_others_commented_on_is_not_unmade(undoing, roster):
    task = await undoing.do("POST", "/tasks", {"title": "b", "project_id": str(roster.project_id)})
    comment = await roster.ok("member", "POST", f"/tasks/{task['id']}/comments", {"body": "words"})
    assert await undoing.refused() == (409, "UNDO_CONFLICT", [("task", None)])
    await roster.ok("member", "DELETE", f"/tasks/{task['id']}/comments/{comment['id']}")
    assert await undoing.undo() == ["task.deleted"]


async def test_h5_a_token_undoes_nothing_beyond_its_projects(undoing, roster):
    there, task = await another_project(roster), await roster.task()

    def token(project_id):
        scopes = ("tasks:read", "tasks:write", "tasks:delete")
        return roster.gateway.token_headers(roster.ids["owner"], *scopes, project_ids=[project_id])

    for path in ("move", "duplicate"):
        body = {"project_id": there["id"]}
        answers = [
            await roster.ask("owner", "POST", f"/tasks/{task['id']}/{path}", body, **token(one))
            for one in (roster.project_id, there["id"])
        ]
        assert [(one.status_code, one.json()["errors"][0]["code"]) for one in answers] == [
            (422, "PROJECT_NOT_FOUND"),
            (404, "NOT_FOUND"),
        ]
    await undoing.do("POST", f"/tasks/{task['id']}/move", {"project_id": there["id"]})
    answers = [await undoing.ask(**token(one)) for one in (there["id"], roster.project_id)]
    assert [(one.status_code, one.json()["errors"][0]["code"]) for one in answers] == [
        (409, "UNDO_NOT_POSSIBLE"),
        (404, "NOT_FOUND"),
    ]


async def test_h5_by_which_means_something_was_undone_is_told(undoing, roster, rows):
    task = await roster.task()
    await undoing.do("PATCH", f"/tasks/{task['id']}", {"title": "b"})
    token = roster.gateway.token_headers(roster.ids["owner"], "tasks:write")
    assert (await undoing.ask(**token)).status_code == 200
    told = await rows("SELECT actor->>'via' FROM tasks.change WHERE entity_id = :id ORDER BY seq", id=task["id"])
    assert told == [("session",), ("session",), ("token",)]


async def test_h5_an_external_id_that_another_task_has_now_is_in_the_way(undoing, roster):
    task = await roster.task(external_source="a", external_id="1")
    await undoing.do("DELETE", f"/tasks/{task['id']}")
    await roster.task(external_source="a", external_id="1")
    assert await undoing.refused() == (409, "EXTERNAL_ID_TAKEN", [])

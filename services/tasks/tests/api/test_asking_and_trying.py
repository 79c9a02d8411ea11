"""A10: what is asked is answered as the request is, for every action of the table.

How the requests are made is in matrix/*.py, as for test_matrix.py.
"""

import re
import runpy
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tasks_service.main import openapi_document
from tasks_service.permissions.rules import RULES

FOLDER = Path(__file__).parents[1] / "matrix"
FOUND = [runpy.run_path(str(path)) for path in sorted(FOLDER.glob("*.py"))]
BY_NAME = {entry.__name__: entry for found in FOUND for entry in found.get("ENTRIES", ())}
HIDDEN = {entry.__name__: answer for found in FOUND for entry, answer in found.get("HIDDEN", {}).items()}
POLICIES = {
    operation["operationId"]: operation.get("x-policy")
    for item in openapi_document()["paths"].values()
    for operation in item.values()
}
CALLERS = ("owner", "member", "commenter", "viewer", "guest", "stranger")
"""The guest has a share of the task, as an editor."""
OF_PATH = re.compile(r"/(comments|labels|categories|filters)/([0-9a-f-]{36})")


@dataclass(frozen=True)
class Place:
    api: Any
    manager: dict[str, str]
    caller_id: UUID
    users: dict[str, UUID]
    workspace_id: str
    project_id: str
    task_id: str
    rows: Any

    async def by_manager(self, method, path, body=None):
        answer = await self.api.request(method, path, json=body, headers=self.manager)
        assert answer.status_code < 300, answer.text
        return answer.json()["data"]


async def delete_permanently(place):
    return "DELETE", f"/api/v1/tasks/{place.task_id}?permanent=true", None


async def delete_permanently_from_the_trash(place):
    await place.by_manager("DELETE", f"/api/v1/tasks/{place.task_id}")
    return await delete_permanently(place)


async def move_to_where_the_guest_may(place):
    method, path, body = await BY_NAME["move_task"](place)
    await place.rows(
        "INSERT INTO tasks.project_member VALUES (uuidv7(), :workspace, :project, :user, 'editor', 1, now())",
        workspace=place.workspace_id,
        project=body["project_id"],
        user=place.users["guest"],
    )
    return method, path, body


async def complete_anyway(place):
    await place.by_manager("PATCH", f"/api/v1/projects/{place.project_id}", {"enforce_blockers": "block"})
    blocker = await place.by_manager("POST", "/api/v1/tasks", {"title": "b", "project_id": place.project_id})
    relation = {"type": "blocks", "task_id": place.task_id}
    await place.by_manager("POST", f"/api/v1/tasks/{blocker['id']}/relations", relation)
    return "PATCH", f"/api/v1/tasks/{place.task_id}?force=true", {"status": "done"}


async def edit_comment_of_somebody_else(place):
    _, path, body = await BY_NAME["update_comment"](place)
    await place.rows("UPDATE tasks.comment SET author_id = uuidv7() WHERE task_id = :id", id=place.task_id)
    return "PATCH", path, body


async def delete_own_comment(place):
    _, path, _ = await BY_NAME["update_comment"](place)
    return "DELETE", path, None


async def answer_for_somebody_else(place):
    path = f"/api/v1/tasks/{place.task_id}/assignees"
    boss = place.users["owner" if place.caller_id != place.users["owner"] else "admin"]
    await place.by_manager("POST", path, {"user_id": str(boss)})
    return "PATCH", f"{path}/{boss}", {"state": "declined"}


def own(kind, method, body):
    """Return an entry for a label or category that is the caller's own."""

    async def entry(place):
        path = await BY_NAME[f"update_{kind}"](place)
        table = f"tasks.{kind}"
        query = f"UPDATE {table} SET owner_id = :id WHERE workspace_id = :place"  # noqa: S608 - of this file
        await place.rows(query, id=place.caller_id, place=place.workspace_id)
        return method, path[1], body

    return entry


ENTRIES = {
    **{
        name: (POLICIES[name], entry)
        for name, entry in BY_NAME.items()
        if name
        in {
            "read_task",
            "update_task",
            "delete_task",
            "restore_task",
            "add_assignee",
            "update_assignee",
            "put_share",
            "put_task_label",
            "star_task",
            "create_comment",
            "put_task_metadata",
            "update_comment",
            "delete_comment",
            "add_reaction",
            "read_project",
            "create_task",
            "update_project",
            "delete_project",
            "put_project_member",
            "update_label",
            "delete_label",
            "update_category",
            "delete_category",
            "read_workspace",
            "list_members",
            "update_workspace",
            "delete_workspace",
            "create_project",
            "create_label",
            "create_category",
            "update_member",
            "remove_member",
            "transfer_ownership",
            "read_workspace_audit",
            "create_filter",
            "read_filter",
            "update_filter",
            "delete_filter",
            "create_export",
            "create_import",
        }
    },
    "delete_permanently": ("task.delete_permanently", delete_permanently),
    "delete_permanently_from_the_trash": ("task.delete_permanently", delete_permanently_from_the_trash),
    "move_to_where_the_guest_may": ("task.move", move_to_where_the_guest_may),
    "complete_anyway": ("task.complete_anyway", complete_anyway),
    "edit_comment_of_somebody_else": ("comment.edit", edit_comment_of_somebody_else),
    "delete_own_comment": ("comment.delete", delete_own_comment),
    "answer_for_somebody_else": ("task.answer", answer_for_somebody_else),
    "update_own_label": ("label.edit", own("label", "PATCH", {"name": "b"})),
    "delete_own_label": ("label.delete", own("label", "DELETE", None)),
    "update_own_category": ("category.edit", own("category", "PATCH", {"name": "b"})),
    "delete_own_category": ("category.delete", own("category", "DELETE", None)),
}


@pytest.fixture
async def place_of(roster):
    async def make(caller):
        task = await roster.task()
        await roster.ok("owner", "PUT", f"/tasks/{task['id']}/shares/{roster.id('guest')}", {"role": "editor"})
        ids = (str(roster.workspace_id), str(roster.project_id), task["id"])
        manager = roster.gateway.headers(roster.ids["owner"])
        return Place(roster.api, manager, roster.ids[caller], roster.ids, *ids, roster.rows)

    return make


def resource_of(action, place, path):
    kind = action.partition(".")[0]
    found = OF_PATH.search(path)
    ids = {"task": place.task_id, "project": place.project_id, "workspace": place.workspace_id}
    return {"type": kind, "id": ids[kind] if kind in ids else found[2]}


def test_a10_every_action_is_asked_and_tried():
    assert {action for action, _ in ENTRIES.values()} == set(RULES)


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("name", sorted(ENTRIES))
async def test_a10_what_is_asked_is_answered_as_the_request_is(place_of, roster, name, caller):
    action, entry = ENTRIES[name]
    place = await place_of(caller)
    method, path, body, *more = await entry(place)
    headers = more[0] if more else {}
    checks = [{"action": action, "resource": resource_of(action, place, path)}]
    [decision] = await roster.ok(caller, "POST", "/authz/check", {"checks": checks})
    answer = await roster.ask(caller, method, path.removeprefix("/api/v1"), body, **headers)
    codes = [one["code"] for one in answer.json().get("errors", ())]
    refusals = {"NOT_FOUND": HIDDEN.get(name, (404, "NOT_FOUND")), "ROLE_TOO_LOW": (403, "FORBIDDEN")}
    if decision["allowed"]:
        assert answer.status_code < 300, answer.text
    else:
        assert (answer.status_code, codes) == (refusals[decision["reason"]][0], [refusals[decision["reason"]][1]])


async def test_a10_one_s_own_answer_label_and_leaving_need_no_more_than_seeing(place_of, roster):
    """What the documentation says of the actions of which a question names only a part."""
    place = await place_of("viewer")
    label = await roster.ok("viewer", "POST", "/labels", {"name": "a", "personal": True})
    tried = {
        "task.label": ("PUT", f"/tasks/{place.task_id}/labels/{label['id']}"),
        "workspace.remove_member": ("DELETE", f"/workspaces/{place.workspace_id}/members/{place.caller_id}"),
    }
    for action, (method, path) in tried.items():
        checks = [{"action": action, "resource": resource_of(action, place, path)}]
        [decision] = await roster.ok("viewer", "POST", "/authz/check", {"checks": checks})
        assert decision["reason"] == "ROLE_TOO_LOW"
        assert (await roster.ask("viewer", method, path)).status_code == 200

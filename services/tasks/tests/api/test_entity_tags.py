"""What a read shows has an entity tag, by which it is not sent again (R33)."""

import pytest
from tasks_service.main import openapi_document

LISTS = {
    "assignees": "/tasks/{task}/assignees",
    "history": "/tasks/{task}/history",
    "a part of the history": "/tasks/{task}/history?per_page=1",
    "metadata": "/tasks/{task}/metadata",
    "relations": "/tasks/{task}/relations",
    "statuses": "/projects/{project}/statuses",
    "audit": "/workspaces/{workspace}/audit",
    "watch rules": "/users/me/watch-rules",
    "checklist": "/tasks/{task}/checklist",
    "tasks": "/tasks?project_id={project}",
    "tasks by cursor": "/tasks?project_id={project}&cursor=&per_page=1",
}
# The ETag of these is the version for If-Match, and what they show is of more than that: see test_unchanged_reads.py.
NEVER_304 = {
    "read_workspace",
    "read_member",
    "read_project",
    "read_comment",
    "read_task_by_external_id",
    "read_task_metadata",
}
NEVER_STORED = {"read_invitation_link", "read_export", "read_export_content"}


def reads():
    """Return the reads for users by their name, each with its answers."""
    return {
        item["get"]["operationId"]: item["get"]["responses"]
        for path, item in openapi_document()["paths"].items()
        if "get" in item and not path.startswith("/internal/")
    }


def test_r33_every_read_has_an_entity_tag_and_is_304_when_nothing_changed():
    found = reads()
    assert len(found) >= 35
    with_tag = {name for name, responses in found.items() if "ETag" in responses["200"].get("headers", {})}
    assert found.keys() - with_tag == NEVER_STORED
    assert found.keys() - {name for name, responses in found.items() if "304" in responses} == NEVER_304 | NEVER_STORED


@pytest.fixture
async def furnished(roster):
    """A task with something of everything; makes paths of it, and changes all that they show."""
    task = await roster.task()
    at = f"/tasks/{task['id']}"

    async def change(number):
        other = await roster.task()
        await roster.ok("owner", "POST", f"{at}/assignees", {"user_id": roster.id(("member", "colleague")[number])})
        await roster.ok("owner", "PUT", f"{at}/metadata/app{number}", {"a": 1})
        await roster.ok("owner", "POST", f"{at}/relations", {"type": "blocks", "task_id": other["id"]})
        await roster.ok("owner", "POST", f"{at}/checklist", {"text": "a"})
        status = {"name": f"n{number}", "category": "todo"}
        await roster.ok("owner", "POST", f"/projects/{roster.project_id}/statuses", status)
        await roster.ok("owner", "PUT", "/users/me/watch-rules", {"created": bool(number)})

    await change(0)
    names = {"task": task["id"], "project": roster.project_id, "workspace": roster.workspace_id}
    return names, lambda: change(1)


@pytest.mark.parametrize("name", LISTS)
async def test_r33_a_list_is_sent_again_when_it_changed_and_not_before(roster, furnished, name):
    names, change = furnished
    path = LISTS[name].format(**names)
    first = await roster.ask("owner", "GET", path)
    tag = first.headers["etag"]
    assert (first.status_code, tag[:3]) == (200, 'W/"')
    again = await roster.ask("owner", "GET", path, **{"if-none-match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    for answer in (first, again):
        assert answer.headers["cache-control"] == "private, no-cache"
        assert answer.headers["vary"] == "Authorization"
    await change()
    after = await roster.ask("owner", "GET", path, **{"if-none-match": tag})
    assert (after.status_code, after.headers["etag"] != tag) == (200, True)
    assert after.json()["data"] != first.json()["data"]


async def test_r33_lines_of_an_audit_have_no_tag(roster):
    answer = await roster.ask("owner", "GET", f"/workspaces/{roster.workspace_id}/audit", accept="application/x-ndjson")
    assert (answer.status_code, "etag" in answer.headers) == (200, False)
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["vary"] == "Authorization"

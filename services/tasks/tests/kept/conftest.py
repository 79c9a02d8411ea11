"""What tests of kept lists begin with: tasks in several projects, and all that may change what somebody sees."""

import pytest


@pytest.fixture
async def place(roster):
    """Tasks in several projects, one of which is closed to most."""

    class Place:
        async def make(self):
            self.tasks = [await roster.task(title=f"no. {number}") for number in range(4)]
            body = {"name": "Q", "workspace_id": str(roster.workspace_id), "visibility": "private"}
            self.private = (await roster.ok("owner", "POST", "/projects", body))["id"]
            self.other = (await roster.ok("owner", "POST", "/projects", {**body, "visibility": "workspace"}))["id"]
            for project in (self.private, self.other):
                for number in range(3):
                    await roster.task(title=f"there, no. {number}", project_id=project)
            return self

        def path(self, number):
            return f"/tasks/{self.tasks[number]['id']}"

    return await Place().make()


@pytest.fixture
def changes(roster, place):
    """What may change who sees which tasks, in an order in which it can be done."""
    member, guest = roster.id("member"), roster.id("guest")
    workspace, private, other = (
        f"/workspaces/{roster.workspace_id}",
        f"/projects/{place.private}",
        f"/projects/{place.other}",
    )
    in_bulk = {
        "operations": [{"op": "update", "id": one["id"], "patch": {"status": "done"}} for one in place.tasks[:2]]
    }
    return [
        ("owner", "POST", "/tasks", {"title": "A", "project_id": str(roster.project_id)}),
        ("member", "POST", "/tasks", {"title": "B", "project_id": str(roster.project_id), "labels": []}),
        ("owner", "PATCH", place.path(0), {"status": "done"}),
        ("owner", "PATCH", place.path(0), {"status": "todo"}),
        ("owner", "DELETE", place.path(1), None),
        ("owner", "POST", f"{place.path(1)}/restore", None),
        ("owner", "POST", f"{place.path(2)}/move", {"project_id": place.private}),
        ("owner", "PUT", f"{place.path(2)}/shares/{guest}", {"role": "viewer"}),
        ("owner", "PUT", f"{place.path(2)}/shares/{member}", {"role": "viewer"}),
        ("owner", "DELETE", f"{place.path(2)}/shares/{member}", None),
        ("owner", "DELETE", f"{place.path(2)}/shares/{guest}", None),
        ("owner", "PUT", f"{private}/members/{member}", {"role": "viewer"}),
        ("owner", "PUT", f"{private}/members/{guest}", {"role": "editor"}),
        ("owner", "DELETE", f"{private}/members/{member}", None),
        ("owner", "PATCH", other, {"visibility": "private"}),
        ("owner", "PATCH", other, {"visibility": "workspace"}),
        ("owner", "POST", f"{other}/archive", None),
        ("owner", "POST", f"{other}/unarchive", None),
        ("owner", "DELETE", other, None),
        ("owner", "POST", f"{other}/restore", None),
        ("owner", "POST", "/tasks/bulk", in_bulk),
        ("owner", "PATCH", place.path(2), {"assignees": [roster.id("admin")]}),
        ("owner", "PATCH", f"/projects/{place.private}", {"name": "R"}),
        ("owner", "PATCH", f"{workspace}/members/{member}", {"role": "guest"}),
        ("owner", "PATCH", f"{workspace}/members/{member}", {"role": "member"}),
        ("owner", "DELETE", f"{place.path(3)}?permanent=true", None),
        ("owner", "DELETE", f"{workspace}/members/{guest}", None),
        ("member", "POST", "/tasks", {"title": "in the Inbox"}),
    ]

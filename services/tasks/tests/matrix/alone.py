"""How operations are asked for that the matrix does not decide; for test_hostile_requests.py alone."""

from chassis.ids import uuid7

# Of no invitation: a token that counts is in a mail alone, and works once.
TOKEN = "x" * 43


async def check_permissions(place):
    resource = {"type": "task", "id": place.task_id}
    return "POST", "/api/v1/authz/check", {"checks": [{"action": "task.edit", "resource": resource}]}


async def list_permissions(place):
    return "GET", "/api/v1/meta/permissions", None


async def read_task_fields(place):
    return "GET", "/api/v1/meta/tasks/fields", None


async def list_workspaces(place):
    return "GET", "/api/v1/workspaces", None


async def list_memberships(place):
    return "GET", "/internal/memberships", None


async def create_workspace(place):
    return "POST", "/api/v1/workspaces", {"name": "a"}


async def accept_invitation(place):
    return "POST", "/api/v1/invitations/accept", {"token": TOKEN}


async def decline_invitation(place):
    return "POST", "/api/v1/invitations/decline", {"token": TOKEN}


async def read_invitation_link(place):
    return "GET", f"/api/v1/invitations/link?token={TOKEN}", None


async def undo_operation(place):
    request_id = str(uuid7())
    headers = {**place.manager, "x-request-id": request_id}
    await place.api.patch(f"/api/v1/tasks/{place.task_id}", json={"title": request_id}, headers=headers)
    return "POST", f"/api/v1/operations/{request_id}/undo", None


async def read_watch_rules(place):
    return "GET", "/api/v1/users/me/watch-rules", None


async def replace_watch_rules(place):
    rules = {"assigned": True, "commented": True, "created": True, "mentioned": False}
    return "PUT", "/api/v1/users/me/watch-rules", rules


async def list_starred(place):
    return "GET", "/api/v1/starred", None


async def list_shared_with_me(place):
    return "GET", "/api/v1/shared-with-me", None


ALONE = (
    check_permissions,
    list_permissions,
    read_task_fields,
    list_workspaces,
    list_memberships,
    create_workspace,
    accept_invitation,
    decline_invitation,
    read_invitation_link,
    undo_operation,
    read_watch_rules,
    replace_watch_rules,
    list_starred,
    list_shared_with_me,
)

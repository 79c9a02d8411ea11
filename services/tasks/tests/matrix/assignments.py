"""How each operation on assignees is asked for; see api/test_matrix.py."""


async def list_assignees(place):
    return "GET", f"/api/v1/tasks/{place.task_id}/assignees", None


async def replace_assignees(place):
    return "PUT", f"/api/v1/tasks/{place.task_id}/assignees", {"user_ids": [str(await manager_of(place))]}


async def add_assignee(place):
    return "POST", f"/api/v1/tasks/{place.task_id}/assignees", {"user_id": str(await manager_of(place))}


async def read_assignee(place):
    path = f"/api/v1/tasks/{place.task_id}/assignees"
    user_id = str(await manager_of(place))
    await place.by_manager("POST", path, {"user_id": user_id})
    return "GET", f"{path}/{user_id}", None


async def update_assignee(place):
    path = f"/api/v1/tasks/{place.task_id}/assignees"
    # Whoever sees the task can be an assignee of it, and answers as one.
    body = {"user_id": str(place.caller_id)}
    await place.api.post(path, json=body, headers=place.manager)
    return "PATCH", f"{path}/{place.caller_id}", {"state": "declined"}


async def remove_assignee(place):
    return "DELETE", f"/api/v1/tasks/{place.task_id}/assignees/{await manager_of(place)}", None


async def manager_of(place):
    """Return who made the task, and sees it."""
    task = await place.api.get(f"/api/v1/tasks/{place.task_id}", headers=place.manager)
    return task.json()["data"]["created_by"]


update_assignee.is_own = True
ENTRIES = (list_assignees, replace_assignees, add_assignee, read_assignee, update_assignee, remove_assignee)

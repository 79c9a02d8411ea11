"""How each operation on tasks is asked for; see api/test_matrix.py."""

from tasks_service.tasks.schemas import TaskReplacement


async def create_task(place):
    return "POST", "/api/v1/tasks", {"title": "a", "project_id": place.project_id}


async def read_task(place):
    return "GET", f"/api/v1/tasks/{place.task_id}", None


async def update_task(place):
    return "PATCH", f"/api/v1/tasks/{place.task_id}", {"title": "b"}


async def replace_task(place):
    task = await place.by_manager("GET", f"/api/v1/tasks/{place.task_id}")
    body = {name: task[name] for name in TaskReplacement.model_fields} | {"title": "b"}
    return "PUT", f"/api/v1/tasks/{place.task_id}", body, {"if-match": "*"}


async def delete_task(place):
    return "DELETE", f"/api/v1/tasks/{place.task_id}", None


async def locate_task(place):
    return "GET", f"/internal/tasks/{place.task_id}", None


ENTRIES = (create_task, read_task, update_task, replace_task, delete_task, locate_task)
# What is named in a body or a query, and not in the path, is an invalid value where it is hidden.
HIDDEN = {create_task: (422, "PROJECT_NOT_FOUND")}
UNDECIDED = {
    "check_permissions": "answers for every caller, and is tested in test_permissions.py",
    "list_permissions": "the same for everybody",
    "read_task_fields": "the same for everybody",
    "list_workspaces": "shows the caller's own memberships",
    "list_memberships": "shows the caller's own memberships",
}

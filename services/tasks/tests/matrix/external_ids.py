"""How each operation on tasks by external ids is asked for; see api/test_matrix.py."""


async def put_task_by_external_id(place):
    return "PUT", "/api/v1/tasks/by-external/jira/1", {"title": "a", "project_id": place.project_id}


async def read_task_by_external_id(place):
    await place.by_manager(*await put_task_by_external_id(place))
    return "GET", f"/api/v1/tasks/by-external/jira/1?project_id={place.project_id}", None


ENTRIES = (put_task_by_external_id, read_task_by_external_id)
HIDDEN = {put_task_by_external_id: (422, "PROJECT_NOT_FOUND")}

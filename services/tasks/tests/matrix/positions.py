"""How each operation on the order of tasks is asked for; see api/test_matrix.py."""


async def place_task(place):
    other = await place.by_manager("POST", "/api/v1/tasks", {"title": "b", "project_id": place.project_id})
    return "POST", f"/api/v1/tasks/{place.task_id}/position", {"after_id": other["id"]}


ENTRIES = (place_task,)

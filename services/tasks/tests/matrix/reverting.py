"""How a task is asked to be what it was; see api/test_matrix.py."""


async def revert_task(place):
    await place.by_manager("PATCH", f"/api/v1/tasks/{place.task_id}", {"title": "b"})
    return "POST", f"/api/v1/tasks/{place.task_id}/revert", {"to_version": 1}


ENTRIES = (revert_task,)

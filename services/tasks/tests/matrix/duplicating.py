"""How a copy is asked for; see api/test_matrix.py."""


async def duplicate_task(place):
    return "POST", f"/api/v1/tasks/{place.task_id}/duplicate", {}


ENTRIES = (duplicate_task,)

"""How each operation on stars is asked for; see api/test_matrix.py."""


async def star_task(place):
    return "PUT", f"/api/v1/tasks/{place.task_id}/star", None


async def unstar_task(place):
    return "DELETE", f"/api/v1/tasks/{place.task_id}/star", None


ENTRIES = (star_task, unstar_task)
UNDECIDED = {"list_starred": "shows what the caller has starred, and is tested in test_stars.py"}

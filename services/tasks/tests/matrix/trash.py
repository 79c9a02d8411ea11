"""How each operation on the trash is asked for; see api/test_matrix.py."""


async def restore_task(place):
    await place.by_manager("DELETE", f"/api/v1/tasks/{place.task_id}")
    return "POST", f"/api/v1/tasks/{place.task_id}/restore", None


async def list_trash(place):
    await place.by_manager("DELETE", f"/api/v1/tasks/{place.task_id}")
    return "GET", f"/api/v1/trash?workspace_id={place.workspace_id}", None


ENTRIES = (restore_task,)
LISTS = {list_trash: "task_id"}

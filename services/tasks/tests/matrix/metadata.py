"""How each operation on metadata of tasks is asked for; see api/test_matrix.py."""


async def shared_of(place):
    path = f"/api/v1/tasks/{place.task_id}/metadata/crm"
    await place.by_manager("PUT", f"{path}?shared=true", {"a": 1})
    return path


async def list_task_metadata(place):
    return "GET", f"/api/v1/tasks/{place.task_id}/metadata", None


async def read_task_metadata(place):
    return "GET", await shared_of(place), None


async def put_task_metadata(place):
    return "PUT", f"/api/v1/tasks/{place.task_id}/metadata/crm", {"a": 1}


async def delete_task_metadata(place):
    path = await shared_of(place)
    owned = "UPDATE tasks.task_metadata SET owner_id = :owner WHERE task_id = :id"
    await place.rows(owned, owner=place.caller_id, id=place.task_id)
    return "DELETE", path, None


ENTRIES = (list_task_metadata, read_task_metadata, put_task_metadata, delete_task_metadata)

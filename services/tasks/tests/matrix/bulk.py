"""Changing many tasks, where each operation is decided by itself; see api/test_matrix.py."""


async def bulk_change_tasks(place):
    rest = {"data": {"title": "b", "project_id": place.project_id}}
    operations = [{"op": "update", "id": place.task_id, "patch": {"title": "b"}}, {"op": "create", **rest}]
    return "POST", "/api/v1/tasks/bulk", {"operations": operations}


ALONE = (bulk_change_tasks,)
UNDECIDED = {"bulk_change_tasks": "decides each of its operations by itself, which is tested in test_bulk.py"}

"""Changing many tasks, where each operation is decided by itself; see api/test_matrix.py."""


async def bulk_change_tasks(place):
    rest = {"data": {"title": "b", "project_id": place.project_id}}
    operations = [{"op": "update", "id": place.task_id, "patch": {"title": "b"}}, {"op": "create", **rest}]
    return "POST", "/api/v1/tasks/bulk", {"operations": operations}


async def bulk_change_tasks_by_filter(place):
    body = {"filter": f"id = {place.task_id}", "patch": {"title": "b"}, "expected_count": 1}
    return "POST", "/api/v1/tasks/bulk/by-filter", body


ALONE = (bulk_change_tasks, bulk_change_tasks_by_filter)
UNDECIDED = {
    "bulk_change_tasks": "decides each operation by itself, and is tested in test_bulk_authorization.py",
    "bulk_change_tasks_by_filter": "decides each task by itself, and is tested in test_bulk_by_filter.py",
}

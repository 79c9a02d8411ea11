"""How lists of tasks are asked for; see api/test_matrix.py."""


async def list_tasks(place):
    return "GET", f"/api/v1/tasks?project_id={place.project_id}", None


async def search_tasks(place):
    wanted = {"field": "project_id", "op": "=", "value": str(place.project_id)}
    return "POST", "/api/v1/tasks/search", {"filter": wanted, "q": "a", "sort": "-rank,due"}


LISTS = {list_tasks: "task_id", search_tasks: "task_id"}

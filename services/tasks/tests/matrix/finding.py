"""How everything is searched; see api/test_matrix.py."""


async def search(place):
    return "GET", f"/api/v1/search?q=a&types=task,user&per_page=5&workspace_id={place.workspace_id}", None


LISTS = {search: "task_id"}

"""How each operation on statuses of projects is asked for; see api/test_matrix.py."""


async def list_statuses(place):
    return "GET", path(place), None


async def create_status(place):
    return "POST", path(place), {"name": "In review", "category": "in_progress"}


async def read_project_status(place):
    return "GET", f"{path(place)}/{await made(place)}", None


async def update_status(place):
    return "PATCH", f"{path(place)}/{await made(place)}", {"name": "b"}


async def delete_status(place):
    return "DELETE", f"{path(place)}/{await made(place)}", None


def path(place):
    return f"/api/v1/projects/{place.project_id}/statuses"


async def made(place):
    return (await place.by_manager("POST", path(place), {"name": "a", "category": "todo"}))["id"]


ENTRIES = (list_statuses, create_status, read_project_status, update_status, delete_status)

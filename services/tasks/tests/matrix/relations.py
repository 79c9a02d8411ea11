"""How each operation on relations is asked for; see api/test_matrix.py."""


async def other_of(place):
    made = await place.by_manager("POST", "/api/v1/tasks", {"title": "b", "project_id": place.project_id})
    return made["id"]


async def list_relations(place):
    return "GET", f"/api/v1/tasks/{place.task_id}/relations", None


async def create_relation(place):
    return "POST", f"/api/v1/tasks/{place.task_id}/relations", {"type": "blocks", "task_id": await other_of(place)}


async def read_relation(place):
    return "GET", await relation_of(place), None


async def delete_relation(place):
    return "DELETE", await relation_of(place), None


async def relation_of(place):
    path = f"/api/v1/tasks/{place.task_id}/relations"
    made = await place.by_manager("POST", path, {"type": "blocks", "task_id": await other_of(place)})
    return f"{path}/{made['id']}"


ENTRIES = (list_relations, create_relation, read_relation, delete_relation)

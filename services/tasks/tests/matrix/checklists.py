"""How each operation on checklists is asked for; see api/test_matrix.py."""


async def item_in(place):
    path = f"/api/v1/tasks/{place.task_id}/checklist"
    made = await place.by_manager("POST", path, {"text": "a"})
    return f"{path}/{made['id']}"


async def list_checklist(place):
    return "GET", f"/api/v1/tasks/{place.task_id}/checklist", None


async def add_checklist_item(place):
    return "POST", f"/api/v1/tasks/{place.task_id}/checklist", {"text": "a"}


async def read_checklist_item(place):
    return "GET", await item_in(place), None


async def update_checklist_item(place):
    return "PATCH", await item_in(place), {"done": True}


async def delete_checklist_item(place):
    return "DELETE", await item_in(place), None


async def convert_checklist_item(place):
    return "POST", f"{await item_in(place)}/convert", None


ENTRIES = (
    list_checklist,
    add_checklist_item,
    read_checklist_item,
    update_checklist_item,
    delete_checklist_item,
    convert_checklist_item,
)

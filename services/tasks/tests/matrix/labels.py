"""How each operation on labels is asked for; see api/test_matrix.py."""


async def made_in(place, name="urgent"):
    return await place.by_manager("POST", "/api/v1/labels", {"name": name, "workspace_id": place.workspace_id})


async def create_label(place):
    return "POST", "/api/v1/labels", {"name": "urgent", "workspace_id": place.workspace_id}


async def read_label(place):
    return "GET", f"/api/v1/labels/{(await made_in(place))['id']}", None


async def update_label(place):
    return "PATCH", f"/api/v1/labels/{(await made_in(place))['id']}", {"name": "later"}


async def delete_label(place):
    return "DELETE", f"/api/v1/labels/{(await made_in(place))['id']}", None


async def merge_label(place):
    made, other = await made_in(place), await made_in(place, "pressing")
    return "POST", f"/api/v1/labels/{made['id']}/merge", {"into": other["id"]}


async def put_task_label(place):
    return "PUT", f"/api/v1/tasks/{place.task_id}/labels/{(await made_in(place))['id']}", None


async def remove_task_label(place):
    made = await made_in(place)
    path = f"/api/v1/tasks/{place.task_id}/labels/{made['id']}"
    await place.by_manager("PUT", path)
    return "DELETE", path, None


async def list_labels(place):
    made = await made_in(place)
    return "GET", f"/api/v1/labels?workspace_id={place.workspace_id}", None, made["id"]


ENTRIES = (create_label, read_label, update_label, delete_label, merge_label, put_task_label, remove_task_label)
LISTS = {list_labels: None}
HIDDEN = {create_label: (422, "WORKSPACE_NOT_FOUND")}

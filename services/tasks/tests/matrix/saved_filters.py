"""How each operation on saved filters is asked for; see api/test_matrix.py. They are shared ones of the manager's."""

FILTER = {"field": "status", "op": "=", "value": "todo"}


async def shared_in(place):
    body = {"name": "Open", "workspace_id": place.workspace_id, "scope": "shared", "filter": FILTER}
    return await place.by_manager("POST", "/api/v1/filters", body)


async def create_filter(place):
    body = {"name": "Open", "workspace_id": place.workspace_id, "scope": "shared", "filter": FILTER}
    return "POST", "/api/v1/filters", body


async def read_filter(place):
    return "GET", f"/api/v1/filters/{(await shared_in(place))['id']}", None


async def update_filter(place):
    return "PATCH", f"/api/v1/filters/{(await shared_in(place))['id']}", {"name": "Mine"}


async def delete_filter(place):
    return "DELETE", f"/api/v1/filters/{(await shared_in(place))['id']}", None


async def list_filters(place):
    made = await shared_in(place)
    return "GET", f"/api/v1/filters?workspace_id={place.workspace_id}", None, made["id"]


ENTRIES = (create_filter, read_filter, update_filter, delete_filter)
LISTS = {list_filters: None}
HIDDEN = {create_filter: (422, "WORKSPACE_NOT_FOUND")}

"""How each operation on categories is asked for; see api/test_matrix.py."""


async def made_in(place):
    wanted = {"name": "Garden", "workspace_id": place.workspace_id}
    return await place.by_manager("POST", "/api/v1/categories", wanted)


async def create_category(place):
    return "POST", "/api/v1/categories", {"name": "Garden", "workspace_id": place.workspace_id}


async def read_category(place):
    return "GET", f"/api/v1/categories/{(await made_in(place))['id']}", None


async def update_category(place):
    return "PATCH", f"/api/v1/categories/{(await made_in(place))['id']}", {"name": "Balcony"}


async def delete_category(place):
    return "DELETE", f"/api/v1/categories/{(await made_in(place))['id']}", None


async def list_categories(place):
    made = await made_in(place)
    return "GET", f"/api/v1/categories?workspace_id={place.workspace_id}", None, made["id"]


ENTRIES = (create_category, read_category, update_category, delete_category)
LISTS = {list_categories: None}
HIDDEN = {create_category: (422, "WORKSPACE_NOT_FOUND")}

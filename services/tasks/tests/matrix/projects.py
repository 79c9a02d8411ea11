"""How each operation on projects and their members is asked for; see api/test_matrix.py."""


async def create_project(place):
    return "POST", "/api/v1/projects", {"name": "a", "workspace_id": place.workspace_id}


async def read_project(place):
    return "GET", f"/api/v1/projects/{place.project_id}", None


async def locate_project(place):
    return "GET", f"/internal/projects/{place.project_id}", None


async def update_project(place):
    return "PATCH", f"/api/v1/projects/{place.project_id}", {"name": "b"}


async def list_projects(place):
    return "GET", f"/api/v1/projects?workspace_id={place.workspace_id}", None


async def list_project_members(place):
    return "GET", f"/api/v1/projects/{place.project_id}/members", None


async def put_project_member(place):
    return "PUT", f"/api/v1/projects/{place.project_id}/members/{somebody_else(place)}", {"role": "viewer"}


async def remove_project_member(place):
    path = f"/api/v1/projects/{place.project_id}/members/{somebody_else(place)}"
    # Of another workspace they are no member, and there is nothing to remove.
    await place.api.put(path, json={"role": "viewer"}, headers=place.manager)
    return "DELETE", path, None


def somebody_else(place):
    """Return a user of the workspace who is not the caller, since the role is theirs from then on."""
    member = place.users["member"]
    return place.users["guest"] if member == place.caller_id else member


async def archive_project(place):
    return "POST", f"/api/v1/projects/{place.project_id}/archive", None


async def unarchive_project(place):
    return "POST", f"/api/v1/projects/{place.project_id}/unarchive", None


async def delete_project(place):
    return "DELETE", f"/api/v1/projects/{place.project_id}", None


async def restore_project(place):
    await place.by_manager("DELETE", f"/api/v1/projects/{place.project_id}")
    return "POST", f"/api/v1/projects/{place.project_id}/restore", None


ENTRIES = (
    archive_project,
    unarchive_project,
    delete_project,
    restore_project,
    create_project,
    read_project,
    locate_project,
    update_project,
    list_project_members,
    put_project_member,
    remove_project_member,
)
LISTS = {list_projects: "project_id"}
HIDDEN = {create_project: (422, "WORKSPACE_NOT_FOUND")}

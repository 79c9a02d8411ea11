"""How each operation on workspaces and their members is asked for; see api/test_matrix.py."""


def path_of(place, *rest):
    return "/".join(["/api/v1/workspaces", place.workspace_id, *rest])


def guest_of(place):
    """Somebody in the workspace who is neither its last owner nor, but for the guest, the caller."""
    return str(place.users["guest" if place.caller_id != place.users["guest"] else "viewer"])


async def read_workspace(place):
    return "GET", path_of(place), None


async def update_workspace(place):
    return "PATCH", path_of(place), {"name": "b"}


async def delete_workspace(place):
    return "DELETE", path_of(place), None


async def list_members(place):
    return "GET", path_of(place, "members"), None


async def read_member(place):
    return "GET", path_of(place, "members", guest_of(place)), None


async def update_member(place):
    return "PATCH", path_of(place, "members", guest_of(place)), {"role": "member"}


async def remove_member(place):
    return "DELETE", path_of(place, "members", guest_of(place)), None


async def offboard_member(place):
    return "POST", path_of(place, "members", guest_of(place), "offboard"), {"unassign": True}


async def transfer_ownership(place):
    return "POST", path_of(place, "transfer-ownership"), {"user_id": guest_of(place)}


ENTRIES = (
    read_workspace,
    update_workspace,
    delete_workspace,
    list_members,
    read_member,
    update_member,
    remove_member,
    offboard_member,
    transfer_ownership,
)
UNDECIDED = {"create_workspace": "makes the caller's own, and is tested in test_workspaces.py"}

"""How invitations are asked for; see api/test_matrix.py."""

from chassis.ids import uuid7


def address():
    return f"{uuid7().hex}@example.com"


async def invited(place):
    """An invitation of the place."""
    path = f"/api/v1/workspaces/{place.workspace_id}/invitations"
    return await place.by_manager("POST", path, {"email": address(), "role": "member"})


async def list_invitations(place):
    return "GET", f"/api/v1/workspaces/{place.workspace_id}/invitations", None


async def create_invitation(place):
    return "POST", f"/api/v1/workspaces/{place.workspace_id}/invitations", {"email": address(), "role": "member"}


async def read_invitation(place):
    made = await invited(place)
    return "GET", f"/api/v1/workspaces/{place.workspace_id}/invitations/{made['id']}", None


async def resend_invitation(place):
    made = await invited(place)
    return "POST", f"/api/v1/workspaces/{place.workspace_id}/invitations/{made['id']}/resend", None


async def revoke_invitation(place):
    made = await invited(place)
    return "DELETE", f"/api/v1/workspaces/{place.workspace_id}/invitations/{made['id']}", None


ENTRIES = (list_invitations, create_invitation, read_invitation, resend_invitation, revoke_invitation)
UNDECIDED = {
    "accept_invitation": "decided by the mailed token and the caller's own address; see test_invitations.py",
    "decline_invitation": "the same",
    "read_invitation_link": "the mailed token is the credential; see test_invitations.py",
}

"""How each operation on shares is asked for; see api/test_matrix.py."""


async def list_shares(place):
    return "GET", f"/api/v1/tasks/{place.task_id}/shares", None


async def put_share(place):
    return "PUT", f"/api/v1/tasks/{place.task_id}/shares/{place.users['guest']}", {"role": "viewer"}


async def remove_share(place):
    return "DELETE", f"/api/v1/tasks/{place.task_id}/shares/{place.users['guest']}", None


ENTRIES = (list_shares, put_share, remove_share)
UNDECIDED = {"list_shared_with_me": "shows what is shared with the caller, and is tested in test_shares.py"}

"""How the feed of changes and snapshots are asked for; see api/test_matrix.py."""

from chassis.cursors import CursorSigner

SIGNER = CursorSigner("a secret of the tests, long enough")


async def list_changes(place):
    # From one's first day in whatever one sees.
    return "GET", f"/api/v1/changes?cursor={SIGNER.position({})}", None


async def create_snapshot(place):
    return "POST", "/api/v1/sync/snapshot", {"types": ["task"], "project_id": place.project_id}


async def sync(place):
    operations = [{"op": "update", "id": place.task_id, "patch": {"title": "b"}}]
    return "POST", "/api/v1/sync", {"operations": operations, "cursor": SIGNER.position({})}


LISTS = {list_changes: "task_id", create_snapshot: "task_id"}
ALONE = (sync,)
UNDECIDED = {"sync": "decides each operation by itself, and is tested in test_syncing.py"}

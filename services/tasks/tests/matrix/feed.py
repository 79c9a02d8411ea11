"""How the feed of changes is asked for; see api/test_matrix.py."""

from chassis.cursors import CursorSigner

SIGNER = CursorSigner("a secret of the tests, long enough")


async def list_changes(place):
    # From one's first day in whatever one sees.
    return "GET", f"/api/v1/changes?cursor={SIGNER.position({})}", None


LISTS = {list_changes: "task_id"}

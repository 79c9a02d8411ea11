"""How the past is asked for; see api/test_matrix.py."""


async def list_task_history(place):
    return "GET", f"/api/v1/tasks/{place.task_id}/history", None


async def read_workspace_audit(place):
    return "GET", f"/api/v1/workspaces/{place.workspace_id}/audit", None


ENTRIES = (list_task_history, read_workspace_audit)

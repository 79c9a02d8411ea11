"""How the directory is asked for; see api/test_matrix.py."""


async def list_directory(place):
    return "GET", f"/api/v1/workspaces/{place.workspace_id}/directory", None


ENTRIES = (list_directory,)

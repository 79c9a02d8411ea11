"""How everything is searched; see api/test_matrix.py."""


async def search(place):
    return "GET", f"/api/v1/search?q=a&types=task,user&per_page=5&workspace_id={place.workspace_id}", None


ALONE = (search,)
UNDECIDED = {"search": "answers with lists of several types, and what is in them is tested in test_finding.py"}

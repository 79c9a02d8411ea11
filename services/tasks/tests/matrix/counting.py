"""How each operation that counts tasks is asked for, by projects; see api/test_matrix.py."""


async def aggregate_tasks(place):
    return "GET", "/api/v1/tasks/aggregate?group_by=project", None


async def count_facets(place):
    return "GET", "/api/v1/tasks/facets?by=project,status", None


LISTS = {aggregate_tasks: "project_id", count_facets: "project_id"}

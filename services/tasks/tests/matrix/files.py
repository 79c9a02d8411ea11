"""How exports and imports are asked for; see api/test_matrix.py and api/test_exports.py."""

from datetime import timedelta

from chassis.clock import utcnow
from chassis.ids import uuid7
from tasks_service.exports.rules import ExportTerms, Link, path_of

TERMS = ExportTerms.of("a secret of the tests, long enough", timedelta(days=7))
ADDED = """
    INSERT INTO tasks.job VALUES (:id, 'export', :workspace, :caller, true, NULL, '{}', 'request-of-a-job', '-',
        '{"format": "csv", "include": []}', '{"size": 5, "sha256": "0"}', 'succeeded', 1, 1, 0, NULL, NULL, NULL, now(),
        0, 0, 0, now(), 1, now(), now(), now())
"""
WRITTEN = "INSERT INTO tasks.file_part VALUES (:id, 0, :workspace, :caller, 'title', now())"


async def written(place):
    """An export of who asks, which is finished."""
    export_id = uuid7()
    of_export = {"id": export_id, "workspace": place.workspace_id, "caller": place.caller_id}
    await place.rows(ADDED, **of_export)
    await place.rows(WRITTEN, **of_export)
    return export_id


async def read_export(place):
    return "GET", f"/api/v1/exports/{await written(place)}", None


async def read_export_content(place):
    export_id = await written(place)
    expires = int((utcnow() + timedelta(minutes=4)).timestamp())
    signature = TERMS.sign(export_id, place.caller_id, expires)
    return "GET", path_of(Link(export_id, place.caller_id, expires, signature)), None


async def create_export(place):
    return "POST", "/api/v1/exports", {"workspace_id": place.workspace_id}


async def create_import(place):
    path = f"/api/v1/imports?workspace_id={place.workspace_id}"
    return "POST", path, {"kind": "end"}, {"content-type": "application/x-ndjson"}


ENTRIES = (create_export, create_import)
# What is named in a body or a query, and not in the path, is an invalid value where it is hidden.
HIDDEN = dict.fromkeys(ENTRIES, (422, "WORKSPACE_NOT_FOUND"))
ALONE = (read_export, read_export_content)
UNDECIDED = {
    "read_export": "an export is its maker's alone; see test_exports.py",
    "read_export_content": "the signature of its link decides; see test_exports.py",
}

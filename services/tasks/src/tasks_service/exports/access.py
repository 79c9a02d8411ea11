"""How endpoints come by an export: it is its maker's, while that one may have all of the workspace."""

from typing import Annotated

from chassis.web.identity import CurrentPrincipal
from fastapi import Depends, Request
from sqlalchemy import RowMapping

from tasks_service.changes.access import FreshConnection
from tasks_service.exports.errors import ExportMissing
from tasks_service.exports.rules import ExportTerms
from tasks_service.file_parts.service import allowed_workspace
from tasks_service.jobs import repository as jobs
from tasks_service.path_ids import ExportId


async def own_export(export_id: ExportId, caller: CurrentPrincipal, connection: FreshConnection) -> RowMapping:
    """Load an export of the caller. Raises ExportMissing, Forbidden."""
    row = await jobs.find(connection, caller, export_id)
    if row is None or row["kind"] != "export":
        raise ExportMissing
    await allowed_workspace(connection, caller, row["workspace_id"], "workspace.export")
    return row


async def export_terms(request: Request) -> ExportTerms:
    """Return what links are signed with."""
    terms: ExportTerms = request.app.state.export_terms
    return terms


OwnExport = Annotated[RowMapping, Depends(own_export, scope="function")]
Terms = Annotated[ExportTerms, Depends(export_terms)]
